// A machine that runs CUDA's blocks one after the other. The threads of a block are fibers: each
// runs until it waits at a barrier, then the next one does.

// A fiber starts as a context of its own; from then on long jumps lead from one to the other, which
// unlike `swapcontext` ask the kernel for nothing. The next block finds it where it ended.

#undef _FORTIFY_SOURCE  // takes a jump to another stack for a mistake
#include "cuda_on_cpu.h"

#include <setjmp.h>
#include <ucontext.h>

#include <memory>
#include <string>
#include <vector>

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace machine {

struct Fiber {
    std::unique_ptr<char[]> stack;  // none before it has started
    jmp_buf here;
    Barrier waits;
    int line;
};
static std::vector<Fiber> fibers;
static jmp_buf scheduler;
static int count;  // threads of a block
static std::vector<char> memory;
static std::string problem;
int now;
double slots[1024];
char *dynamic;
void (*body)();
void **arguments;

void complain(const char *text) {
    if (problem.empty()) problem = text;
}

void wait(Barrier kind, int line) {
    fibers[now].waits = kind;
    fibers[now].line = line;
    if (!_setjmp(fibers[now].here)) _longjmp(scheduler, 1);
}

static void live() {
    for (;;) {
        body();
        wait(END, 0);
    }
}

__attribute__((noinline)) static void resume(Fiber &f) {
    if (_setjmp(scheduler)) return;
    if (f.stack) _longjmp(f.here, 1);
    const size_t size = 1 << 16;
    f.stack.reset(new char[size]);
    ucontext_t context;
    getcontext(&context);
    context.uc_stack.ss_sp = f.stack.get();
    context.uc_stack.ss_size = size;
    makecontext(&context, live, 0);
    setcontext(&context);
}

// Lets those go on that wait where all of their group do; what has ended waits for nobody.
static bool release(int first, int last, Barrier kind) {
    int line = 0;
    for (int t = first; t < last; ++t) {
        if (fibers[t].waits == END) continue;
        if (fibers[t].waits != kind) return false;
        if (line && line != fibers[t].line) complain("threads wait at two barriers");
        line = fibers[t].line;
    }
    for (int t = first; t < last; ++t)
        if (fibers[t].waits == kind) fibers[t].waits = NONE;
    return line;
}

// A warp runs as far as it can while the others stand still.
static void run_warp(int warp, bool backwards) {
    int first = warp * 32, last = min(first + 32, count);
    do
        for (int k = first; k < last; ++k) {
            now = backwards ? first + last - 1 - k : k;
            if (fibers[now].waits != NONE) continue;
            unsigned t = now;
            threadIdx = {t % blockDim.x, t / blockDim.x % blockDim.y,
                         t / blockDim.x / blockDim.y};
            resume(fibers[now]);
        }
    while (release(first, last, WARP) && problem.empty());
}

static void run_block(bool backwards) {
    for (int t = 0; t < count; ++t) fibers[t].waits = NONE;
    int warps = (count + 31) / 32;
    do
        for (int w = 0; w < warps; ++w) run_warp(backwards ? warps - 1 - w : w, backwards);
    while (release(0, count, BLOCK) && problem.empty());
    for (int t = 0; t < count; ++t)
        if (fibers[t].waits != END) complain("threads wait at a barrier that others never reach");
}

// Runs the kernel; the text of what went wrong, or nothing.
const char *launch(const unsigned *grid, const unsigned *block, size_t shared, bool backwards,
                   char *first_shared, char *last_shared) {
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    count = blockDim.x * blockDim.y * blockDim.z;
    if ((int)fibers.size() < count) fibers.resize(count);
    problem.clear();
    size_t blocks = (size_t)grid[0] * grid[1] * grid[2];
    for (size_t k = 0; k < blocks && problem.empty(); ++k) {
        size_t b = backwards ? blocks - 1 - k : k;
        blockIdx = {unsigned(b % grid[0]), unsigned(b / grid[0] % grid[1]),
                    unsigned(b / grid[0] / grid[1])};
        memset(slots, 0xff, sizeof slots);
        memory.assign(shared, '\xff');  // NaN: what was not written is not read
        dynamic = memory.data();
        if (first_shared) memset(first_shared, 0xff, last_shared - first_shared);
        run_block(backwards);
    }
    if (!problem.empty()) fibers.clear();  // they stand where they were stopped
    return problem.c_str();
}

}  // namespace machine
