"""Other computers for kernels to be compiled for, as environments of a fresh process."""

AVX2 = {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx,+avx2,+fma"}  # vectors of 32 bytes
PLAIN = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}  # of 16
