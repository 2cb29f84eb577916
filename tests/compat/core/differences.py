"""Where a call gives something else than in MLX, and why. Calls that MLX refuses and that work here are in `answers.json`."""

from __future__ import annotations

import re

# Patterns of whole calls, and the reason.
DIFFERENT: dict[str, str] = {
    r"mx\.mean\(mx\.(ones|full).*float16\)\)": "means of float16 are summed in float32",
    r"mx\.mean\(mx\.array\(\[2\*\*31-1.*": "means of whole numbers are summed in float32; MLX's sums overflow",
    r"mx\.left_shift\(mx\.array\(1\),(40|-1)\)": "bits beyond the width are 0; what MLX gives depends on the machine",
    r"mx\.array\(\[.*(1e10|300\.0).*\]\)\.astype\(.*": "numbers beyond a dtype of whole numbers become its last; in MLX it depends on the machine",
    r"mx\.sign\(n\)": "the sign of NaN is NaN; 0 in MLX",
    r"mx\.(pow|power)\(f, 1j\)": "0 to an imaginary power: NaN + 0j; NaN + NaNj in MLX",
    r"mx\.softmax\(.*\)": "the softmax of whole numbers is one of float32; that of MLX overflows in their dtype",
    r"mx\.logsumexp\((u8|u64|t)(, 0)?\)": "the differences from the largest number are taken in float32; those of MLX overflow",
    r"mx\.(partition|argpartition|topk)\(.*\)": "elements on one side of the partition stand in another order",
    r"mx\.broadcast_shapes\(\(-1,\), \(1,\)\)": "negative sizes are refused",
    r"mx\.linalg\.cholesky\((a=)?-sq\)": "a matrix that is not positive definite is refused; MLX returns the input's elements",
    r"mx\.linalg\.(eigh|eigvalsh)\((a=)?sq, (UPLO=)?'x'\)": "UPLO other than 'L' and 'U' is refused",
    r"mx\.fft\.i?r?fft[2n]\((a=)?f, (s=)?None, (axes=)?\(\)\)": "a transform over no axes is complex, or refused for real input; MLX returns the input",
    r"mx\.fft\.stft\(mx\.sin\(mx\.arange\(32\.0\)\)\)": "2048 samples of a reflected signal: rounding",
    r"mx\.fast\.cross_entropy\(h, ix\)": "float16 logits are computed with in float32",
    r"mx\.float32 == 'float32'": "a dtype equals its name",
    r"mx\.\w+\.value|mx\.DtypeCategory\(0\)": "the values of the categories of dtypes are their names; numbers in MLX",
    r"mx\.random\.randint\((low=)?-1, (high=)?300, (shape=)?\(4,\), (dtype=)?mx\.uint8, (key=)?k\)": "bounds that the dtype cannot hold are refused; MLX wraps them",
}


def reason(text: str) -> str | None:
    """Why a call differs, if it is known to."""
    return next((why for pattern, why in DIFFERENT.items() if re.fullmatch(pattern, text)), None)
