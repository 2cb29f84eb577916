"""A tiny configuration of every model that mlx-lm defines: values by the name of the field, and what a family needs besides.

mlx-lm's configurations ignore the fields that they do not know, so one table serves them all.
"""

import copy
import importlib.util
import pathlib
from typing import Any

__all__ = ["NEEDS", "configuration", "names"]

SMALL: dict[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 64,
    "intermediate_size": 80,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 128,
    "rms_norm_eps": 1e-5,
    "layer_norm_eps": 1e-5,
    "layer_norm_epsilon": 1e-5,
    "norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "attention_bias": False,
    "mlp_bias": False,
    "use_bias": False,
    "use_qk_norm": True,
    "sliding_window": 4,
    "partial_rotary_factor": 0.5,
    # Mixtures of experts.
    "num_experts": 8,
    "num_local_experts": 8,
    "n_routed_experts": 8,
    "moe_num_experts": 8,
    "num_experts_per_tok": 2,
    "moe_topk": 2,
    "moe_k": 2,
    "moe_top_k": 2,
    "top_k_experts": 2,
    "num_shared_experts": 1,
    "n_shared_experts": 1,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32,
    "moe_shared_expert_intermediate_size": 32,
    "shared_intermediate_size": 32,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "norm_topk_prob": True,
    "n_group": 2,
    "topk_group": 1,
    "routed_scaling_factor": 1.5,
    "first_k_dense_replace": 1,
    "moe_layer_freq": 1,
    "scoring_func": "sigmoid",
    "topk_method": "noaux_tc",
    # Latent attention.
    "kv_lora_rank": 16,
    "q_lora_rank": 24,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 16,
    "index_head_dim": 32,
    "index_n_heads": 2,
    "index_topk": 4,
    # Linear attention and state spaces.
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 32,
    "linear_value_head_dim": 16,
    "linear_conv_kernel_dim": 4,
    "full_attention_interval": 2,
    "layer_group_size": 2,
    "group_norm_size": 2,
    "state_size": 16,
    "ssm_state_size": 16,
    "conv_kernel": 4,
    "use_conv_bias": True,
    "time_step_rank": "auto",
    "time_step_limit": (0.001, 100.0),
    "mamba_d_conv": 4,
    "mamba_d_state": 16,
    "mamba_d_head": 16,
    "mamba_d_ssm": 64,
    "mamba_expand": 2,
    "mamba_n_heads": 4,
    "mamba_num_heads": 4,
    "mamba_head_dim": 16,
    "mamba_proj_bias": False,
    "mamba_conv_bias": True,
    "mamba_n_groups": 2,
    "n_groups": 2,
    "conv_L_cache": 3,
    "conv_bias": True,
    # Of the Granite and MiniCPM families.
    "embedding_multiplier": 2.0,
    "attention_multiplier": 0.25,
    "residual_multiplier": 0.5,
    "logits_scaling": 2.0,
    "dim_model_base": 32,
    "scale_depth": 1.4,
    "scale_emb": 12,
    # GPT-2's names.
    "n_embd": 64,
    "n_head": 4,
    "n_layer": 2,
    "n_ctx": 128,
    "n_positions": 128,
    "n_inner": 128,
}

SLIDING, FULL, LINEAR = "sliding_attention", "full_attention", "linear_attention"
ALTERNATING = [SLIDING, FULL, SLIDING, FULL]
YARN = {
    "type": "yarn",
    "rope_type": "yarn",
    "factor": 4.0,
    "original_max_position_embeddings": 32,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
}
LONGROPE = {
    "type": "longrope",
    "short_factor": [1.0, 1.1, 1.2, 1.3],
    "long_factor": [1.0, 1.5, 2.0, 4.0],
    "factor": 2.0,
    "original_max_position_embeddings": 64,
}
ROPE_OF_KINDS = {FULL: {"rope_theta": 1e4}, SLIDING: {"rope_theta": 1e3}}
DELTA = {"kda_layers": [1, 2, 3], "full_attn_layers": [4], "num_heads": 4, "head_dim": 32, "short_conv_kernel_size": 4}
MINISTRAL = {"rope_theta": 1e4, "llama_4_scaling_beta": 0.1, "original_max_position_embeddings": 4}
GEMMA_4 = {
    "num_kv_shared_layers": 2,
    "global_head_dim": 32,
    "sliding_window_pattern": 2,
    "vocab_size_per_layer_input": 96,
    "hidden_size_per_layer_input": 8,
    "num_experts": None,
}
LFM_2 = {
    "block_dim": 64,
    "block_multiple_of": 8,
    "block_ffn_dim_multiplier": 1.0,
    "block_auto_adjust_ff_dim": True,
    "full_attn_idxs": [1, 3],
}
LONGCAT = {
    "attention_method": "MLA",
    "zero_expert_type": "identity",
    "ffn_hidden_size": 80,
    "expert_ffn_hidden_size": 32,
    "zero_expert_num": 2,
    "num_layers": 2,
    "mla_scale_q_lora": True,
    "mla_scale_kv_lora": True,
}

# What stands above or besides the common values, by module of mlx_lm.models; "text_config" is merged with the common values.
OWN: dict[str, dict[str, Any]] = {
    "afm7": {"hidden_dim": 64, "num_layers": 4, "num_kv_reuse_layers": 2, "num_heads": 4, "num_kv_heads": 2},
    "afmoe": {"layer_types": ALTERNATING},
    "apertus": {"post_norm": False, "qk_norm": True},
    "baichuan_m1": {"sliding_window_layers": [1, 3], "conv_window": 2},
    "dbrx": {
        "d_model": 64,
        "n_layers": 2,
        "n_heads": 4,
        "ffn_config": {"ffn_hidden_size": 80, "moe_num_experts": 4, "moe_top_k": 2},
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8, "rope_theta": 1e4},
    },
    "deepseek_v2": {"rope_scaling": YARN, "topk_method": "group_limited_greedy"},
    "exaone": {"num_layers": 2},
    "exaone4": {"rope_scaling": None, "sliding_window_pattern": "LLLG"},
    "exaone_moe": {"layer_types": ALTERNATING, "is_moe_layer": [False, True, True, True]},
    "gear": {"layer_types": ["conv_mixer", SLIDING, "conv_mixer", FULL]},
    "gemma3": {"vocab_size": 96, "text_config": {"sliding_window_pattern": 2}},
    "gemma3_text": {"sliding_window_pattern": 2},
    "gemma3n": {
        "text_config": {
            "num_kv_shared_layers": 2,
            "vocab_size_per_layer_input": 96,
            "rope_local_base_freq": 1e4,
            "final_logit_softcapping": 30.0,
            "layer_types": ALTERNATING,
            "activation_sparsity_pattern": [0.95, 0.95, 0.0, 0.0],
            "hidden_size_per_layer_input": 8,
            "altup_num_inputs": 2,
            "altup_coef_clip": 120.0,
            "altup_correct_scale": True,
            "altup_active_idx": 0,
            "laurel_rank": 8,
        }
    },
    "gemma4": {"text_config": GEMMA_4},
    "gemma4_text": GEMMA_4,
    "glm4_moe": {"rope_scaling": None},
    "glm_moe_dsa": {"rope_parameters": {"rope_theta": 1e4, "rope_type": "default"}},
    "gpt_neox": {"rotary_emb_base": 10000, "rotary_pct": 0.5},
    "gptj": {"rotary_dim": 8},
    "granitemoehybrid": {"layer_types": ["mamba", "attention", "mamba", "attention"], "mamba_n_heads": 8},
    "hunyuan": {
        "num_shared_expert": 1,
        "use_mixed_mlp_moe": True,
        "use_cla": True,
        "cla_share_factor": 2,
        "rope_scaling": {"type": "dynamic", "factor": 1.0, "alpha": 1000.0},
    },
    "jamba": {"attn_layer_offset": 1, "attn_layer_period": 2, "expert_layer_offset": 1, "expert_layer_period": 2},
    "kimi_k3": {"text_config": {"linear_attn_config": DELTA, "num_experts_per_token": 2}},
    "kimi_linear": {"linear_attn_config": DELTA, "model_max_length": 128, "num_experts_per_token": 2},
    "laguna": {"num_experts": 6},  # of 8, two have scores for one token that rounding puts in this order or that
    "lfm2": LFM_2,
    "lfm2-vl": {"text_config": LFM_2},
    "lfm2_moe": {**LFM_2, "use_expert_bias": True, "num_dense_layers": 1},
    "lille-130m": {"block_size": 128, "n_kv_heads": 2},
    "llama4": {
        "text_config": {
            "attention_chunk_size": 4,
            "interleave_moe_layer_step": 2,
            "intermediate_size_mlp": 80,
            "rope_scaling": None,
            "num_experts_per_tok": 1,
        }
    },
    "llama4_text": {"intermediate_size_mlp": 80, "no_rope_layers": [1, 1, 1, 0]},
    "longcat_flash": LONGCAT,
    "longcat_flash_ngram": {**LONGCAT, "ngram_vocab_size_ratio": 3},
    "mamba2": {"num_heads": 8, "intermediate_size": 128},
    "mellum": {"layer_types": ALTERNATING, "rope_parameters": ROPE_OF_KINDS},
    "mimo_v2_flash": {
        "hybrid_layer_pattern": [0, 1, 0, 1],
        "moe_layer_freq": [0, 1, 1, 1],
        "add_swa_attention_sink_bias": True,
        "add_full_attention_sink_bias": False,
        "sliding_window_size": 4,
        "layernorm_epsilon": 1e-5,
        "swa_rope_theta": 1e4,
        "swa_num_attention_heads": 4,
        "swa_num_key_value_heads": 2,
        "swa_head_dim": 16,
        "swa_v_head_dim": 16,
    },
    "minicpm3": {"rope_scaling": LONGROPE},
    "minimax": {"rotary_dim": 8},
    "minimax_m3_vl": {"text_config": {"moe_layer_freq": [0, 1, 1, 1], "dense_intermediate_size": 80}},
    "ministral3": {"rope_parameters": MINISTRAL, "layer_types": ALTERNATING},
    "mistral4": {"rope_parameters": {**YARN, **MINISTRAL}},
    "muse_spark": {
        "text_config": {
            "post_norm_eps": 1e-8,
            "rope_parameters": {"rope_theta": 1e4},
            "layer_rope_theta": [1e4, 0, 1e4, 0],
            "layer_types": ALTERNATING,
            "final_logit_softcapping": 20.0,
            "output_multiplier": 0.5,
            "moe_hidden_size": 32,
            "num_shared_experts": 0,
        }
    },
    "nemotron": {"hidden_act": "relu2"},
    "nemotron-nas": {
        "block_configs": [
            {"attention": {"n_heads_in_group": 2}, "ffn": {"ffn_mult": 1.5}},
            {"attention": {"no_op": True}, "ffn": {"ffn_mult": 1.0}},
            {"attention": {"replace_with_linear": True}, "ffn": {"no_op": True}},
            {"attention": {"n_heads_in_group": 4}, "ffn": {"replace_with_linear": True}},
        ]
    },
    "nemotron_h": {"hybrid_override_pattern": ["M", "E", "*", "-"]},
    "olmo_hybrid": {
        "linear_allow_neg_eigval": True,
        "layer_types": [LINEAR, FULL, LINEAR, FULL],
        "linear_num_key_heads": 4,
    },
    "openelm": {
        "num_transformer_layers": 2,
        "model_dim": 64,
        "ffn_dim_divisor": 8,
        "num_query_heads": [4, 4],
        "num_kv_heads": [2, 2],
        "ffn_multipliers": [1.0, 2.0],
    },
    "phi3small": {
        "dense_attention_every_n_layers": 2,
        "ff_intermediate_size": 80,
        "gegelu_limit": 20.0,
        "vocab_size": 100352,
    },
    "phixtral": {"num_vocab": 96, "model_dim": 64, "num_heads": 4, "num_layers": 2, "rotary_dim": 8},
    "plamo": {"n_shared_head": 2},
    "prism_hadamard_qwen35": {
        "schema_version": 1,
        "tensor_namespace": "mlx-lm-text",
        "quantization": {"bits": 2, "group_size": 128, "mode": "affine"},
        "modules": [
            {"path": "model.embed_tokens", "embedding": True, "dtype": "float16", "block": 512},
            {"path": "model.layers.1.self_attn.q_proj", "embedding": False, "dtype": "float16", "block": 512},
            {"path": "model.layers.1.mlp.gate_proj", "embedding": False, "dtype": "float16", "block": 0},
        ],
        "text_config": {"hidden_size": 512, "num_experts": 0},
    },
    "qwen": {"kv_channels": 16},
    "recurrent_gemma": {
        "conv1d_width": 4,
        "logits_soft_cap": 30.0,
        "attention_window_size": 4,
        "block_types": ["recurrent", "recurrent", "attention"],
    },
    "rwkv7": {
        "a_low_rank_dim": 8,
        "v_low_rank_dim": 8,
        "gate_low_rank_dim": 8,
        "decay_low_rank_dim": 8,
        "head_dim": 32,
    },
    "spark2_5": {"rope_parameters": ROPE_OF_KINDS},
    "stablelm": {"use_qkv_bias": True},
    "step3p5": {
        "num_attention_groups": 2,
        "layer_types": ALTERNATING,
        "moe_layers_enum": "1,2,3",
        "share_expert_dim": 32,
        "partial_rotary_factors": [0.5, 1.0, 0.5, 1.0],
    },
}

# What a model needs that is not there: why its module cannot be imported.
NEEDS = {"olmo": "the package ai2-olmo"}


def names() -> list[str]:
    """Return the modules of mlx_lm.models that define a model."""
    models = importlib.util.find_spec("mlx_lm.models")
    assert models is not None and models.submodule_search_locations
    folder = pathlib.Path(next(iter(models.submodule_search_locations)))
    return sorted(path.stem for path in folder.glob("*.py") if "class Model(" in path.read_text())


def configuration(name: str) -> dict[str, Any]:
    """Return the tiny configuration of one model, a fresh copy."""
    own = OWN.get(name, {})
    config = {**SMALL, "model_type": name, **{key: value for key, value in own.items() if key != "text_config"}}
    config["text_config"] = {**SMALL, "model_type": name, **own.get("text_config", {})}
    return copy.deepcopy(config)
