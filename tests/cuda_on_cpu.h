// What CUDA C gives a kernel, for a C++ compiler; `cuda_on_cpu.cpp` is the machine under it.

#include <math.h>
#include <string.h>

#include <utility>

#undef INFINITY  // NVRTC has none of these
#undef NAN
#undef M_PI
#undef M_SQRT1_2
#undef M_2_SQRTPI

#define __global__
#define __device__ static inline
#define __forceinline__
#define __restrict__
#define __launch_bounds__(...)
#define __shared__ static __attribute__((section("shared_memory")))
#define __syncthreads() machine::wait(machine::BLOCK, __LINE__)
#define __shfl_xor_sync(mask, v, o) machine::exchange(mask, v, machine::now % 32 ^ (o), __LINE__)

struct half {
    _Float16 value;
    half() {}
    half(float x) : value(x) {}
    operator float() const { return value; }
};
struct dim3 {
    unsigned x, y, z;
};
extern dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace machine {

enum Barrier { NONE, WARP, BLOCK, END };
extern int now;           // the thread that runs
extern double slots[];    // what a thread shows to its warp
extern char *dynamic;     // shared memory of a size that the launch says
extern void (*body)();    // the kernel with its arguments
extern void **arguments;  // what they point to

void wait(Barrier kind, int line);
void complain(const char *text);
const char *launch(const unsigned *grid, const unsigned *block, size_t shared, bool backwards,
                   char *first_shared, char *last_shared);

template <class V>
static V exchange(unsigned mask, V v, int lane, int line) {
    if (mask != ~0u) complain("a shuffle leaves lanes out");
    memcpy(&slots[now], &v, sizeof v);
    wait(WARP, line);
    memcpy(&v, &slots[now / 32 * 32 + lane], sizeof v);
    wait(WARP, line);  // before the slots are written again
    return v;
}

template <class... P, size_t... I>
static void call(void (*f)(P...), std::index_sequence<I...>) {
    f(*(P *)arguments[I]...);
}
template <class... P>
static void call(void (*f)(P...)) {
    call(f, std::index_sequence_for<P...>());
}

}  // namespace machine

// All shared variables lie in one section; the linker knows where it starts and ends.
extern "C" char __start_shared_memory[] __attribute__((weak, visibility("hidden")));
extern "C" char __stop_shared_memory[] __attribute__((weak, visibility("hidden")));

#define LAUNCHES(kernel)                                                                         \
    extern "C" const char *run_##kernel(const unsigned *grid, const unsigned *block,             \
                                        size_t shared, bool backwards, void **values) {          \
        machine::body = [] { machine::call(kernel); };                                           \
        machine::arguments = values;                                                             \
        return machine::launch(grid, block, shared, backwards, __start_shared_memory,            \
                               __stop_shared_memory);                                            \
    }

template <class V>
static V max(V a, V b) {
    return a < b ? b : a;
}
template <class V>
static V min(V a, V b) {
    return b < a ? b : a;
}
template <class V>
static V atomicAdd(V *place, V v) {  // no thread comes between
    V old = *place;
    *place += v;
    return old;
}
static inline float rsqrt(float x) { return 1 / sqrtf(x); }
static inline double rsqrt(double x) { return 1 / sqrt(x); }
static inline float __int_as_float(int bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
