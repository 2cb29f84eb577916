"""What differs between the shim and MLX, by the name: how, and why. `compat_page.py` makes a table of it."""

from __future__ import annotations

_DEVICE = "What a device of its own would do is not there yet; answers as MLX does without one."
_COMPLEX = "Complex numbers are refused with ValueError; MLX takes them."
_INFINITY = "Has its limits at infinity, where MLX gives NaN."
_SHAPE = "Its initialisers also take a shape in the place of an array."
_ARGUMENTS = "Has the arguments of PyTorch's, too; without them it is MLX's."
_SQUARES = "Of complex gradients the squares are those of absolute values."
_CORRECTION = " The bias is corrected without cancellation."

DIFFERENCES: dict[str, str] = {
    "core.astype": "Numbers beyond a dtype of whole numbers become its smallest or largest, and NaN 0; what MLX gives depends on the "
    "machine.",
    "core.mean": "Of 16-bit numbers, and of whole ones, it is summed in float32; MLX's sums overflow.",
    "core.sum": "Of no axes, or of an array of none, the dtype is that of other sums; MLX's stays as it is.",
    "core.prod": "Of no axes, or of an array of none, the dtype is that of other products; MLX's stays as it is. Of no elements it is 1; "
    "MLX gives 0 for some shapes.",
    "core.all": "Of no elements it is True; MLX gives False for some shapes.",
    "core.trace": "The dtype asked for is that of the result; MLX's has 32 bits at least.",
    "core.isclose": "Differences of unsigned numbers do not wrap, as those of MLX do.",
    "core.allclose": "See `isclose`.",
    "core.hadamard_transform": "Whole numbers give float32; in MLX they stay where there are two or fewer.",
    "core.left_shift": "Bits shifted beyond the width are gone; what MLX gives depends on the machine.",
    "core.bitwise_left_shift": "See `left_shift`.",
    "core.convolve": "Arrays of different dtypes are promoted; MLX refuses them.",
    "core.sign": "The sign of NaN is NaN, where MLX gives 0: a NaN is not to be hidden.",
    "core.softmax": "Of whole numbers it is one of float32; that of MLX stays in their dtype, which overflows.",
    "core.logsumexp": "Of whole numbers it is computed in float32; MLX takes differences in their dtype, which overflow. "
    "Of no numbers it is -inf; MLX refuses them. Of -inf alone its derivatives are 0; MLX gives NaN.",
    "core.median": "Of equal elements in the middle one takes the cotangent; in MLX they share it.",
    "core.floor_divide": "An integer divided by zero is 0, where MLX stops the process.",
    "core.remainder": "An integer divided by zero is 0, where MLX stops the process.",
    "core.divmod": "Has a derivative, which in MLX is 0. An integer divided by zero is 0, where MLX stops the process.",
    "core.power": "0 to the power of 0 has the derivative 0, where MLX's is NaN or infinite. The derivative by complex numbers "
    "is that of the real and imaginary parts, as it is of other functions; MLX leaves out a conjugation.",
    "core.pow": "See `power`.",
    "core.cumprod": "The derivative by complex numbers is right; MLX leaves out a conjugation.",
    "core.cumulative_prod": "See `cumprod`.",
    "core.logcumsumexp": "See `cumprod`.",
    "core.full": "The derivative by the value is right; MLX multiplies it by the value.",
    "core.full_like": "See `full`.",
    "core.pad": "The derivative by the constant is right; that of MLX has the shape of the result. There is a mode 'wrap', too.",
    "core.round": "Of 16 bits it is rounded in float32; MLX's factors of 10 overflow.",
    "core.conv_general": "A kernel that reaches beyond the padded input is refused; MLX gives an element. Padding may be 'same' or 'valid'.",
    "core.conv1d": "See `conv_general`.",
    "core.conv2d": "See `conv_general`.",
    "core.conv3d": "See `conv_general`.",
    "core.conv_transpose1d": "Padding wider than the kernel crops the result; MLX crops the input. The derivative by the input is right where there is output padding; MLX's has another shape.",
    "core.conv_transpose2d": "See `conv_transpose1d`.",
    "core.conv_transpose3d": "See `conv_transpose1d`.",
    "core.from_dlpack": "Differentiable where it is given an array of the library.",
    "core.grad": "Whatever a container holds that the function was given is there again afterwards, also where it raises or adds "
    "entries; MLX leaves its own arrays there, or crashes. Values of the inner function beside the loss have a derivative, "
    "which in MLX is 0.",
    "core.value_and_grad": "See `grad`.",
    "core.vjp": "An output that is neither an array nor a list or tuple of them raises TypeError; RuntimeError in MLX.",
    "core.jvp": "See `vjp`. Tangents of bools are bools; float32 in MLX.",
    "core.vmap": "Every function can be mapped over. MLX refuses some, and maps bitwise operations and assignments over the wrong "
    "axis. Each output has the axis that stands for it in `out_axes`; MLX takes that of another. Lists of axes are taken as tuples are.",
    "core.checkpoint": "What the function reads from outside its arguments has its derivative; in MLX it is a constant. A function is "
    "called once, so that the derivative belongs to the numbers that it drew from the state; MLX calls it again, which draws others.",
    "core.compile": "Computes its results when it is called, unless the function is small. What the function reads of a transformation around it, and an array that "
    "it returns as it found it, needs no capturing; MLX refuses them. Constants are told by type and value (1, 1.0 and True, 0.0 "
    "and -0.0 differ), and lists from tuples. Captured containers hold what they did if the function raises. `shapeless` traces "
    "again where MLX refuses a function or gives values of other shapes: see its docstring.",
    "core.custom_function": "The rules of a mapped function are kept, and what a rule leaves out is zero; MLX forgets them, or takes "
    "another value. A cotangent of the wrong shape is refused.",
    "core.export_function": "Files are funcnn's own. A shapeless function follows sizes wherever it does the same operations, in "
    "slices and Python's numbers, too; axes that must agree are of one size. All operations and their "
    "derivatives can be written, `checkpoint` too, but no callbacks and no kernels in source. Operations have funcnn's names.",
    "core.exporter": "See `export_function`.",
    "core.import_function": "See `export_function`. Paths may be `pathlib`'s.",
    "core.export_to_dot": "Operations have funcnn's names.",
    "core.expm1": "Takes complex numbers, too.",
    "core.sigmoid": "Takes complex numbers, too.",
    "core.partition": "Elements on one side of the partition may stand in another order.",
    "core.argpartition": "Elements on one side of the partition may stand in another order.",
    "core.topk": "The elements may stand in another order.",
    "core.broadcast_shapes": "Negative sizes are refused.",
    "core.argmax": "Along an axis beside an empty one it gives an empty array; MLX refuses empty arrays.",
    "core.argmin": "Along an axis beside an empty one it gives an empty array; MLX refuses empty arrays.",
    "core.take": "Never reads out of bounds. What MLX returns there is what lies in memory.",
    "core.take_along_axis": "Never reads out of bounds; fractional indices are refused.",
    "core.put_along_axis": "Never writes out of bounds; fractional indices are refused.",
    "core.slice": "A start beyond the end is moved to the last that fits; MLX reads out of bounds.",
    "core.slice_update": "A start beyond the end is moved to the last that fits; MLX writes nothing, or out of bounds.",
    "core.segmented_mm": "Shapes that do not fit are refused; MLX reads out of bounds.",
    "core.load": "Files above 256 MiB are mapped into memory, so they must not be written into while their arrays live: see "
    "[files](files.md). A gguf file may be written in any packed type, some of them through the package `gguf`; bfloat16 in it stays bfloat16, where "
    "MLX makes float16.",
    "core.save": "Complete or unchanged: a file is written beside the old one, and replaces it.",
    "core.savez": "See `save`.",
    "core.savez_compressed": "See `save`.",
    "core.save_safetensors": "See `save`.",
    "core.save_gguf": "See `save`. Takes bfloat16, too.",
    "core.set_memory_limit": "The limit is remembered and returned; nothing waits for it, as memory is planned before a "
    "graph runs. `funcnn.set_memory_limit` sets one that is kept.",
    "core.get_memory_limit": "See `set_memory_limit`.",
    "core.set_cache_limit": "The limit is 1 GiB at first.",
    "core.DtypeCategory": "The values of the members are their names; numbers in MLX.",
    "core.Dtype": "Equals its name, and can be pickled.",
    "core.array": "Never reads or writes out of bounds: an integer out of range reads zeros and writes nothing, where MLX "
    "reads what lies in memory. Masks may stand in a tuple, and a part of one element takes an array of one; MLX refuses both. "
    "Complex numbers are not assigned to real ones; MLX drops their imaginary parts. A negative number beside uint64 is "
    "refused, as it is beside other unsigned dtypes; MLX wraps it. Beside bools a number beyond int32 is one of int64; MLX wraps it. Where a place is "
    "assigned twice, the value that it keeps has the cotangent; in MLX both have it. Memory "
    "that NumPy or PyTorch may write to is the array's own: values computed before do not change with it.",
    "core.ArrayAt": "Integers are divided exactly; MLX multiplies them by the reciprocal, which is 0. Masks are taken, too. "
    "Complex numbers have no `maximum` and `minimum`; MLX orders them.",
    "core.linalg.cholesky": "Differentiable, as all of `linalg`. A matrix that is not positive definite raises; MLX returns the input's elements.",
    "core.std": "Its derivatives are 0 where all elements are equal; MLX gives NaN.",
    "core.linalg.norm": "Norms of vectors have the derivative 0 at zero; MLX gives NaN.",
    "core.linalg.inv": "A singular matrix raises ValueError; RuntimeError in MLX.",
    "core.linalg.solve": "A singular matrix raises; MLX returns zeros or infinities.",
    "core.linalg.eig": "Eigenvalues may come in another order, that of NumPy, and vectors with another factor.",
    "core.linalg.eigvals": "Eigenvalues may come in another order, that of NumPy.",
    "core.linalg.eigh": "Vectors may have the opposite sign, that of NumPy's. UPLO must be 'L' or 'U'.",
    "core.linalg.eigvalsh": "UPLO must be 'L' or 'U'.",
    "core.fft.fft2": "A transform over no axes is complex; MLX returns the input.",
    "core.fft.ifft2": "A transform over no axes is complex; MLX returns the input.",
    "core.fft.fftn": "A transform over no axes is complex; MLX returns the input. `s` without `axes` means the last axes.",
    "core.fft.ifftn": "A transform over no axes is complex; MLX returns the input. `s` without `axes` means the last axes.",
    "core.fft.rfft2": "A transform over no axes is refused; MLX returns the input.",
    "core.fft.rfftn": "A transform over no axes is refused; MLX returns the input. `s` without `axes` means the last axes.",
    "core.fft.irfftn": "`s` without `axes` means the last axes; MLX refuses it.",
    "core.fast.cross_entropy": "float16 logits are computed with in float32 and rounded once.",
    "core.fast.scaled_dot_product_attention": "A query that sees no key gets zeros; in MLX the mean of the values or NaN, "
    "depending on mask and device.",
    "core.fast.metal_kernel": "Arrays from anywhere are moved to the GPU. `vmap` runs a kernel once for each example.",
    "core.fast.cuda_kernel": "Arrays from anywhere are moved to the GPU. `vmap` runs a kernel once for each example.",
    "core.fast.precompiled_cuda_kernel": _DEVICE,
    "core.random.randint": "Bounds that the dtype cannot hold are refused; MLX wraps them. Of a narrow range beyond 2^24 every "
    "integer is drawn.",
    "core.random.gumbel": "Of 16 bits it is computed in float32 and rounded once; MLX rounds between, which shows in the tails.",
    "core.random.truncated_normal": "Of 16 bits it is computed in float32 and rounded once. Between bounds far on one side, where "
    "MLX draws few numbers or one, it follows the distribution.",
    "core.random.bernoulli": "Takes whole numbers and bools for `p`, too.",
    "core.random.uniform": "Draws float64, too.",
    "core.distributed.init": "There is one process in a group: `strict=True` raises, as in MLX where no back end starts.",
    "core.new_stream": "A device does the work of its streams in order; two never run at the same time.",
    "core.default_stream": "Arrays and streams may be used on any thread; MLX refuses those of another.",
    "core.metal.device_info": "Prints no warning that the name is old.",
    "nn.relu": _COMPLEX,
    "nn.relu2": _COMPLEX,
    "nn.relu6": _COMPLEX,
    "nn.leaky_relu": _COMPLEX,
    "nn.softplus": _COMPLEX,
    "nn.step": _COMPLEX,
    "nn.selu": "Large numbers have a gradient, where MLX gives NaN. " + _COMPLEX,
    "nn.elu": "Large numbers have a gradient, where MLX gives NaN. " + _COMPLEX,
    "nn.softmin": _COMPLEX,
    "nn.hard_tanh": _COMPLEX,
    "nn.hard_shrink": _COMPLEX,
    "nn.softshrink": _COMPLEX,
    "nn.gelu_approx": "Large numbers have a gradient, where MLX gives NaN. " + _COMPLEX,
    "nn.hardswish": _INFINITY + " " + _COMPLEX,
    "nn.mish": _INFINITY + " " + _COMPLEX,
    "nn.softsign": _INFINITY + " " + _COMPLEX,
    "nn.silu": _INFINITY,
    "nn.gelu": _INFINITY,
    "nn.gelu_fast_approx": _INFINITY,
    "nn.celu": "The derivative at 0 is 1, where MLX has 0. `alpha` must not be 0. " + _COMPLEX,
    "nn.prelu": "The derivative by the input at 0 is 1, where MLX has `1 + alpha`. " + _COMPLEX,
    "nn.sigmoid": "Takes complex numbers, too.",
    "nn.glu": "Takes complex numbers, too.",
    "nn.log_softmax": "Whole numbers are computed in float32; differences of MLX's stay in their dtype, which overflows. "
    + _COMPLEX,
    "nn.log_sigmoid": "Whole numbers are computed in float32; MLX negates them in their dtype, which overflows. "
    + _COMPLEX,
    "nn.Softplus": _ARGUMENTS,
    "nn.HardTanh": _ARGUMENTS,
    "nn.RNN": "The nonlinearity may be given by its name, too. A function that is none of `mlx.nn`'s is called step by step; all else is one scan.",
    "nn.Module": "A module whose class does not call `Module.__init__` can be frozen, differentiated and asked for its mode, too.",
    "nn.value_and_grad": "When the function raises, the model has the arrays that it had, also within `compile`, where MLX leaves "
    "arrays without values.",
    "nn.QQLinear": "Its products work on the CPU, too.",
    "utils.tree_merge": "Keys come in the order of the first tree, then of the second; in MLX their order is random.",
    "utils.tree_unflatten": "A path that occurs twice is a ValueError, where MLX runs into a RecursionError; so is a gap of more "
    "than 16 million items.",
    "nn.BatchNorm": "Running statistics are not differentiated through.",
    "nn.Dropout": "An infinity that is dropped becomes 0, where MLX gives NaN.",
    "nn.Dropout2d": "See `Dropout`.",
    "nn.Dropout3d": "See `Dropout`.",
    "nn.utils.checkpoint": "Random draws, as dropout makes them, are repeated as they were; MLX draws others while it computes "
    "again, so that gradients are those of another function.",
    "nn.TransformerEncoder": "With `checkpoint` and dropout, see `nn.utils.checkpoint`.",
    "nn.TransformerDecoder": "With `checkpoint` and dropout, see `nn.utils.checkpoint`.",
    "nn.Transformer": "With `checkpoint` and dropout, see `nn.utils.checkpoint`.",
    "nn.MultiHeadAttention": "A query that sees no key gets zeros, see `scaled_dot_product_attention`.",
    "nn.Embedding": "An index out of range gives zeros and has no gradient; MLX reads out of bounds.",
    "nn.MaxPool1d": "Whole numbers are padded with the least of their dtype; in MLX with what minus infinity becomes in it.",
    "nn.MaxPool2d": "See `MaxPool1d`.",
    "nn.MaxPool3d": "See `MaxPool1d`.",
    "nn.Upsample": "Places and weights are computed in float64, in MLX in float32.",
    "nn.losses.cross_entropy": "An index of no class gives some finite loss, so that it can be masked; MLX reads out of bounds. Indices that are no integers are refused at the call. "
    "A logit of minus infinity costs nothing where the target gives its class no probability; MLX gives NaN.",
    "nn.losses.nll_loss": "See `cross_entropy`.",
    "nn.losses.binary_cross_entropy": "Infinite logits that the target rules out cost nothing, and gradients of probabilities at 0 and 1 are finite; MLX gives NaN.",
    "nn.losses.kl_div_loss": "A target of minus infinity costs nothing; MLX gives NaN.",
    "nn.losses.smooth_l1_loss": "`beta` must not be negative.",
    "nn.losses.huber_loss": "`delta` must not be negative.",
    "nn.losses.triplet_loss": "`p` must be at least 1 and `eps` not negative; large distances do not overflow.",
    "nn.losses.cosine_similarity_loss": "Norms do not overflow.",
    "nn.init.constant": _SHAPE,
    "nn.init.glorot_normal": _SHAPE,
    "nn.init.glorot_uniform": _SHAPE,
    "nn.init.he_normal": _SHAPE,
    "nn.init.he_uniform": _SHAPE,
    "nn.init.identity": _SHAPE,
    "nn.init.normal": _SHAPE,
    "nn.init.orthogonal": _SHAPE,
    "nn.init.sparse": _SHAPE,
    "nn.init.uniform": _SHAPE,
    "optimizers.RMSprop": _SQUARES,
    "optimizers.Adagrad": _SQUARES,
    "optimizers.AdaDelta": _SQUARES,
    "optimizers.Adam": _SQUARES + _CORRECTION,
    "optimizers.AdamW": _SQUARES + _CORRECTION,
    "optimizers.Adamax": _COMPLEX,
    "optimizers.Lion": "A NaN stays one, see `sign`.",
    "optimizers.Adafactor": _COMPLEX,
    "optimizers.Muon": "Matrices without columns stay as they are; MLX divides by zero.",
    "optimizers.MultiOptimizer": "Also takes a dict from prefixes of paths to optimizers, and the model.",
    "optimizers.clip_grad_norm": "The norm is right where squares leave the range of the dtype, and for complex numbers.",
    "optimizers.exponential_decay": "Also takes `decay_steps`, in which it decays once. Computed without the error of powers of "
    "rates near 1.",
    "optimizers.step_decay": "See `exponential_decay`.",
    "optimizers.cosine_decay": "Counts below 0 are 0.",
    "optimizers.linear_schedule": "Counts below 0 are 0.",
}
