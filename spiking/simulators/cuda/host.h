// What the kernel needs of CUDA, for a C++ compiler: every thread of a block is a fiber, and a barrier lets the
// others run. Slow but true: a barrier that not all threads reach is found, and the threads of a block can
// be run in either order, which shows where one reads what another has not written yet.

#include <cmath>
#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <ucontext.h>

using std::exp; using std::expm1; using std::floor; using std::log; using std::log1p; using std::sqrt;
using std::tanh; using std::fabs;

#define __global__
#define __device__
#define __launch_bounds__(threads, blocks)
#define SHARED_MEMORY unsigned long long *shared_memory = emulated::shared;

struct Place { int x; };
static Place blockIdx, threadIdx;

namespace emulated {
static unsigned long long *shared;
static int now, barriers[1024], rounds[1024];
static unsigned ballots[32][3];
static bool begun[1024], done[1024];
static ucontext_t fibers[1024];
static jmp_buf scheduler, waiting[1024];  // jumps leave the signal mask alone, which swapcontext does not

static void wait()
{
    if (_setjmp(waiting[now]) == 0) _longjmp(scheduler, 1);
    threadIdx.x = now;
}
}

static inline int __ffs(unsigned word) { return __builtin_ffs((int)word); }

static inline void __syncthreads() { emulated::barriers[emulated::now]++; emulated::wait(); }

static inline unsigned __ballot_sync(unsigned, bool vote)
{
    using namespace emulated;
    const int warp = now / 32, round = rounds[now]++;
    ballots[warp][(round + 1) % 3] = 0;
    if (vote) ballots[warp][round % 3] |= 1u << (now % 32);
    wait();
    return ballots[warp][round % 3];
}
