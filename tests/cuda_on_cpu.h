// What CUDA C gives a kernel, for a C++ compiler. Blocks run one after the other. The threads of a
// block are fibers: each runs until it waits at a barrier, then the next one does.

#include <math.h>
#include <string.h>
#include <ucontext.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#undef INFINITY  // NVRTC has none of these
#undef NAN
#undef M_PI
#undef M_SQRT1_2
#undef M_2_SQRTPI

using std::max;
using std::min;

#define __global__
#define __device__ static inline
#define __forceinline__
#define __restrict__
#define __launch_bounds__(...)
#define __shared__ static __attribute__((section("shared_memory")))
#define __syncthreads() machine::wait(machine::BLOCK, __LINE__)
#define __shfl_xor_sync(mask, v, o) machine::exchange(mask, v, machine::lane() ^ (o), __LINE__)

struct half {
    _Float16 value;
    half() {}
    half(float x) : value(x) {}
    operator float() const { return value; }
};
struct dim3 {
    unsigned x, y, z;
};
static dim3 threadIdx, blockIdx, blockDim, gridDim;

// All shared variables lie in one section; the linker knows where it starts and ends.
extern "C" char __start_shared_memory[] __attribute__((weak, visibility("hidden")));
extern "C" char __stop_shared_memory[] __attribute__((weak, visibility("hidden")));

namespace machine {

enum Barrier { NONE, WARP, BLOCK, END };
struct Fiber {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(1 << 16);
    Barrier waits;
    int line;
};
static std::vector<Fiber> fibers;
static ucontext_t scheduler;
static int count, now;  // threads of a block; the one that runs
static double slots[1024];
static std::vector<char> dynamic;
static std::string problem;
static std::function<void()> body;

static inline void complain(const std::string &text) {
    if (problem.empty()) problem = text;
}

static inline void wait(Barrier kind, int line) {
    fibers[now].waits = kind;
    fibers[now].line = line;
    swapcontext(&fibers[now].context, &scheduler);
}

static inline int lane() { return now % 32; }

template <class V>
static V exchange(unsigned mask, V v, int from, int line) {
    if (mask != ~0u) complain("a shuffle leaves lanes out");
    memcpy(&slots[now], &v, sizeof v);
    wait(WARP, line);
    memcpy(&v, &slots[now - lane() + from], sizeof v);
    wait(WARP, line);  // before the slots are written again
    return v;
}

static void start() {
    body();
    wait(END, 0);
}

// Lets those go on that wait where all of their group do; what has ended waits for nobody.
static bool release(int first, int last, Barrier kind) {
    int line = 0;
    for (int t = first; t < last; ++t) {
        if (fibers[t].waits == END) continue;
        if (fibers[t].waits != kind) return false;
        if (line && line != fibers[t].line)
            complain("threads wait at two barriers, lines " + std::to_string(line) + " and " +
                     std::to_string(fibers[t].line));
        line = fibers[t].line;
    }
    for (int t = first; t < last; ++t)
        if (fibers[t].waits == kind) fibers[t].waits = NONE;
    return line;
}

static void run_block(bool backwards) {
    memset(slots, 0xff, sizeof slots);
    memset(dynamic.data(), 0xff, dynamic.size());  // NaN: what was not written is not read
    if (__start_shared_memory)
        memset(__start_shared_memory, 0xff, __stop_shared_memory - __start_shared_memory);
    for (int t = 0; t < count; ++t) {
        Fiber &f = fibers[t];
        getcontext(&f.context);
        f.context.uc_stack.ss_sp = f.stack.data();
        f.context.uc_stack.ss_size = f.stack.size();
        makecontext(&f.context, start, 0);
        f.waits = NONE;
    }
    for (bool goes_on = true; goes_on && problem.empty();) {
        for (int k = 0; k < count; ++k) {
            now = backwards ? count - 1 - k : k;
            if (fibers[now].waits != NONE) continue;
            unsigned t = now;
            threadIdx = {t % blockDim.x, t / blockDim.x % blockDim.y,
                         t / blockDim.x / blockDim.y};
            swapcontext(&scheduler, &fibers[now].context);
        }
        goes_on = release(0, count, BLOCK);
        for (int t = 0; t < count; t += 32) goes_on |= release(t, min(t + 32, count), WARP);
    }
    for (int t = 0; t < count; ++t)
        if (fibers[t].waits != END) complain("threads wait at a barrier that others never reach");
}

template <class... P, size_t... I>
static void call(void (*f)(P...), void **values, std::index_sequence<I...>) {
    f(*(P *)values[I]...);
}

// Runs a kernel; the text of what went wrong, or nothing.
template <class... P>
static const char *launch(void (*f)(P...), const unsigned *grid, const unsigned *block,
                          size_t shared, bool backwards, void **values) {
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    count = blockDim.x * blockDim.y * blockDim.z;
    if ((int)fibers.size() < count) fibers.resize(count);
    dynamic.assign(shared, 0);
    problem.clear();
    body = [=] { call(f, values, std::index_sequence_for<P...>()); };
    size_t blocks = (size_t)grid[0] * grid[1] * grid[2];
    for (size_t k = 0; k < blocks && problem.empty(); ++k) {
        size_t b = backwards ? blocks - 1 - k : k;
        blockIdx = {unsigned(b % grid[0]), unsigned(b / grid[0] % grid[1]),
                    unsigned(b / grid[0] / grid[1])};
        run_block(backwards);
    }
    return problem.c_str();
}

}  // namespace machine

template <class V>
static V atomicAdd(V *place, V v) {  // no fiber comes between
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
