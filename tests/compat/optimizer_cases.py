"""Optimisers on one small tree of parameters, in either library.

``FUNCNN_COMPAT_LIBRARY=mlx python -m tests.compat.optimizer_cases`` prints the figures below, those of MLX 0.32.4.
"""

import numpy as np

CASES = {
    "sgd": ("SGD", {"learning_rate": 0.1}),
    "momentum": ("SGD", {"learning_rate": 0.1, "momentum": 0.9}),
    "nesterov": ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "dampened": ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}),
    "rmsprop": ("RMSprop", {"learning_rate": 0.01}),
    "adagrad": ("Adagrad", {"learning_rate": 0.01}),
    "adadelta": ("AdaDelta", {"learning_rate": 1.0}),
    "adam": ("Adam", {"learning_rate": 0.01}),
    "adam_corrected": ("Adam", {"learning_rate": 0.01, "bias_correction": True, "betas": (0.8, 0.99), "eps": 1e-3}),
    "adamw": ("AdamW", {"learning_rate": 0.01}),
    "adamw_corrected": ("AdamW", {"learning_rate": 0.01, "bias_correction": True, "weight_decay": 0.5}),
    "adamax": ("Adamax", {"learning_rate": 0.01}),
    "lion": ("Lion", {"learning_rate": 0.01}),
    "lion_decayed": ("Lion", {"learning_rate": 0.01, "weight_decay": 0.1}),
    "adafactor": ("Adafactor", {}),
    "adafactor_warm": ("Adafactor", {"warmup_init": True, "weight_decay": 0.1, "beta_1": 0.9}),
    "adafactor_rate": ("Adafactor", {"learning_rate": 0.01, "relative_step": False, "scale_parameter": False}),
    "muon": ("Muon", {"learning_rate": 0.01}),
    "muon_plain": ("Muon", {"learning_rate": 0.01, "nesterov": False, "weight_decay": 0.0, "ns_steps": 3}),
}

# The first two elements of each parameter after eight steps.
FIGURES = {
    "sgd": [0.0819389, 0.1696229, -2.1380703, -0.3629977, -1.0529321, -0.4415703, -0.4556306],
    "momentum": [-0.6951143, 0.9926249, -1.2789415, -0.2356717, -1.7030317, -0.3544903, 1.067542],
    "nesterov": [-0.5750365, 1.1216756, -0.5976704, -0.3648612, -1.6137986, -0.0929029, 1.407078],
    "dampened": [-0.2840331, 0.4355784, -1.4957639, -0.2065361, -1.1029711, -0.3709676, 0.1702417],
    "rmsprop": [-0.0404244, -0.0578948, -2.1140389, -0.1154709, -0.8776105, -0.7158461, -0.5932489],
    "adagrad": [0.1090566, -0.1247539, -2.3039613, -0.2083886, -0.7467742, -0.5614185, -0.8890266],
    "adadelta": [0.1216165, -0.1259845, -2.3167846, -0.2208865, -0.7397951, -0.5483618, -0.9050673],
    "adam": [-0.0494943, -0.0449109, -2.0440593, -0.1327405, -0.8795056, -0.6054782, -0.5805553],
    "adam_corrected": [0.0900015, -0.1206267, -2.2718346, -0.1989361, -0.76277, -0.5613757, -0.8574502],
    "adamw": [-0.0495121, -0.0448168, -2.0423021, -0.132634, -0.8788658, -0.6049896, -0.5799286],
    "adamw_corrected": [0.0833881, -0.1161655, -2.1788373, -0.1872986, -0.7338144, -0.5407612, -0.8209523],
    "adamax": [0.1196685, -0.1285511, -2.312953, -0.2158935, -0.7378656, -0.5463263, -0.9088023],
    "lion": [0.1057302, -0.1121049, -2.2850308, -0.2187917, -0.7522674, -0.544259, -0.8417255],
    "lion_decayed": [0.1048675, -0.1111316, -2.2666953, -0.2171471, -0.7464298, -0.5398006, -0.8346569],
    "adafactor": [0.1242346, -0.1163595, -2.2842355, -0.2081947, -0.7476947, -0.5517818, -0.8774778],
    "adafactor_warm": [0.1257296, -0.1321021, -2.3250127, -0.2187911, -0.7322667, -0.5442582, -0.9217165],
    "adafactor_rate": [0.1235924, -0.1097959, -2.2982502, -0.2121059, -0.7540308, -0.5548435, -0.8727616],
    "muon": [0.1138632, -0.1146357, -2.3179944, -0.2192828, -0.7595544, -0.5446991, -0.9085616],
    "muon_plain": [0.1073869, -0.1121274, -2.3190792, -0.2185938, -0.7706901, -0.5394083, -0.9105079],
}

SHAPES = {"weight": (4, 3), "layers": [{"bias": (3,)}, {"kernel": (2, 3, 2)}], "scale": ()}


def leaves(tree):
    """The leaves of dicts and lists in their order."""
    if isinstance(tree, (dict, list)):
        return [leaf for part in (tree.values() if isinstance(tree, dict) else tree) for leaf in leaves(part)]
    return [tree]


def made(mx, seed, shapes=SHAPES):
    """A tree of arrays of any library, the same for the same seed."""
    rng = np.random.default_rng(seed)

    def build(tree):
        if isinstance(tree, dict):
            return {name: build(part) for name, part in tree.items()}
        if isinstance(tree, list):
            return [build(part) for part in tree]
        return mx.array(rng.normal(size=tree).astype(np.float32))

    return build(shapes)


def trained(mx, optimizer, params, steps):
    """Parameters after updates by gradients that are the same for the same step."""
    for step in steps:
        params = optimizer.apply_gradients(made(mx, 1 + step), params)
    return params


def optimizer_of(optim, case):
    name, arguments = CASES[case]
    return getattr(optim, name)(**arguments)


def figures(mx, optim, case):
    params = trained(mx, optimizer_of(optim, case), made(mx, 0), range(8))
    return [float(value) for leaf in leaves(params) for value in np.array(leaf).ravel()[:2]]


if __name__ == "__main__":
    from tests.compat.library import mx, optim

    print("FIGURES = {")
    for case in CASES:
        print(f"    {case!r}: {[round(value, 7) for value in figures(mx, optim, case)]},".replace("'", '"'))
    print("}")
