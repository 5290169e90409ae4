"""The kernels of the GPU: CUDA C, its source beside the Python that calls it.

In: for each op of `choice.GPU` a file named as its derivation; `launch` (one source for all dtypes,
compiled when it first runs). CuPy compiles and launches; products of matrices are cuBLAS's. Not in:
formulas (`derivations`, which run on CuPy's arrays too, and are what these are held equal to).

None waits for the GPU: no number comes back to Python between forward and backward. So nobody can
be told of an index that is out of range: where the reference raises, a kernel gives NaN.

The tests run this source on the CPU. No GPU has run it yet: times and shares of the peak that the
files name are counted from its data sheet, not measured.

Start with `softmax`.
"""
