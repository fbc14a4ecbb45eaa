// How a block of fibers is run, after the kernel; see host.h.

static const Arguments *given;

static void fiber()
{
    present(*given);
    emulated::done[emulated::now] = true;
    _longjmp(emulated::scheduler, 1);
}

// Let the thread `now` run until it waits or is done.
static void __attribute__((noinline)) resume()
{
    using namespace emulated;
    if (_setjmp(scheduler) != 0) return;
    if (begun[now]) _longjmp(waiting[now], 1);
    begun[now] = true;
    setcontext(&fibers[now]);
}

// Run `blocks` blocks; 0, or 1 where threads of one block did not meet at the same barriers.
extern "C" int launch(const Arguments *arguments, int blocks, long long shared_bytes, int backwards)
{
    using namespace emulated;
    const size_t stack_bytes = 64 * 1024;
    std::vector<unsigned long long> room(shared_bytes / 8 + 1);
    std::vector<char> stacks(stack_bytes * THREADS);
    shared = room.data();
    given = arguments;
    for (int block = 0; block < blocks; block++) {
        blockIdx.x = block;
        memset(ballots, 0, sizeof ballots);
        // what is read before it is written is to be found
        memset(room.data(), 0xff, room.size() * 8);
        for (int i = 0; i < THREADS; i++) {
            barriers[i] = rounds[i] = 0;
            begun[i] = done[i] = false;
            getcontext(&fibers[i]);
            fibers[i].uc_stack.ss_sp = stacks.data() + stack_bytes * i;
            fibers[i].uc_stack.ss_size = stack_bytes;
            fibers[i].uc_link = nullptr;
            makecontext(&fibers[i], fiber, 0);
        }
        for (int running = THREADS; running > 0;) {
            running = 0;
            for (int i = 0; i < THREADS; i++) {
                now = backwards ? THREADS - 1 - i : i;
                if (done[now]) continue;
                threadIdx.x = now;
                resume();
                running += !done[now];
            }
            for (int i = 1; i < THREADS; i++)
                if (barriers[i] != barriers[0] || rounds[i] != rounds[0] || done[i] != done[0]) return 1;
        }
    }
    return 0;
}
