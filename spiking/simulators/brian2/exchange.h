// What a generated program shares with the process that started it, and the operators that move spikes
// and currents between groups. One tile is LANES samples of one chip, side by side in every group.
#ifndef SPIKETRAIN_EXCHANGE_H
#define SPIKETRAIN_EXCHANGE_H

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace exchange {

// The header of the shared memory: numbers first, then the byte offset of every section.
struct Block {
    char *memory;
    const int64_t *header;
    int64_t chips, batch, steps, drive_steps;
    int64_t chip, first, lanes;  // the tile under way: its chip, first sample and number of samples

    template <class T>
    T *section(int index) const {
        return reinterpret_cast<T *>(memory + header[5 + index]);
    }
    double dt() const { return *reinterpret_cast<const double *>(header + 4); }
    int64_t sample(int64_t lane) const { return chip * batch + first + lane; }
};

inline Block &block() {
    static Block only;
    return only;
}

inline void open(int descriptor, size_t bytes) {
    Block &b = block();
    void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (memory == MAP_FAILED) {
        std::perror("cannot map the shared memory");
        std::exit(1);
    }
    b.memory = static_cast<char *>(memory);
    b.header = static_cast<const int64_t *>(memory);
    b.chips = b.header[0];
    b.batch = b.header[1];
    b.steps = b.header[2];
    b.drive_steps = b.header[3];
}

// between the shared memory and Brian2's arrays

template <int N, int LANES>
void load_constant(double *to, int section) {
    const double *from = block().section<double>(section) + block().chip * N;
    for (int lane = 0; lane < LANES; lane++) std::copy(from, from + N, to + lane * N);
}

template <int N, int LANES>
void load_state(double *to, int section) {
    const Block &b = block();
    const double *from = b.section<double>(section) + b.sample(0) * N;
    std::copy(from, from + b.lanes * N, to);
    std::fill(to + b.lanes * N, to + LANES * N, 0.0);
}

template <int N>
void store_state(const double *from, int section) {
    const Block &b = block();
    std::copy(from, from + b.lanes * N, b.section<double>(section) + b.sample(0) * N);
}

// one row of weights, added to one sample's currents

template <int POST>
inline void add_row(double *__restrict__ to, const double *__restrict__ row) {
    for (int j = 0; j < POST; j++) to[j] += row[j];
}

template <int POST>
inline void add_row(double *__restrict__ to, const double *__restrict__ row, double factor) {
    for (int j = 0; j < POST; j++) to[j] += factor * row[j];
}

// Emissions of a layer: PRE of the TOTAL neurons of a group, from FIRST on.

template <int TOTAL, int FIRST, int PRE>
struct Spikes {  // of a group that spikes: the indices of the neurons that did, in rising order
    const int32_t *indices;
    int32_t count;
    template <class Visit>
    void each(Visit visit) const {
        const Block &b = block();
        for (int32_t k = 0; k < count; k++) {
            const int32_t lane = indices[k] / TOTAL, neuron = indices[k] % TOTAL - FIRST;
            if (lane >= b.lanes) break;
            if (neuron >= 0 && neuron < PRE) visit(lane, neuron, 1.0);
        }
    }
};

template <int TOTAL, int FIRST, int PRE>
struct Activity {  // of a group that does not: a value for every neuron
    const double *values;
    template <class Visit>
    void each(Visit visit) const {
        for (int64_t lane = 0; lane < block().lanes; lane++)
            for (int i = 0; i < PRE; i++) {
                const double value = values[lane * TOTAL + FIRST + i];
                if (value != 0.0) visit(lane, i, value);
            }
    }
};

template <int PRE>
struct Raster {  // of the input layer: one byte for every neuron and step, mostly zero
    const uint8_t *bytes;
    int64_t step;
    template <class Visit>
    void each(Visit visit) const {
        const Block &b = block();
        for (int64_t lane = 0; lane < b.lanes; lane++) {
            const uint8_t *row = bytes + ((b.first + lane) * b.steps + step) * PRE;
            int i = 0;
            for (; i + 8 <= PRE; i += 8) {
                uint64_t eight;
                std::memcpy(&eight, row + i, 8);
                if (eight)
                    for (int k = i; k < i + 8; k++)
                        if (row[k]) visit(lane, k, 1.0);
            }
            for (; i < PRE; i++)
                if (row[i]) visit(lane, i, 1.0);
        }
    }
};

template <int PRE>
struct Values {  // of the input layer as currents: constant, or a value for every step
    const double *values;
    int64_t step;
    template <class Visit>
    void each(Visit visit) const {
        const Block &b = block();
        for (int64_t lane = 0; lane < b.lanes; lane++) {
            const double *row = values + ((b.first + lane) * b.drive_steps + step) * PRE;
            for (int i = 0; i < PRE; i++)
                if (row[i] != 0.0) visit(lane, i, row[i]);
        }
    }
};

// Add the emissions, through the weights of the tile's chip, to POST of TOTAL currents from FIRST on.
template <int PRE, int TOTAL, int FIRST, int POST, class Emissions>
void deliver(const Emissions &emissions, int weights, double *current) {
    const Block &b = block();
    const double *w = b.section<double>(weights) + b.chip * PRE * POST;
    emissions.each([&](int64_t lane, int i, double value) {
        double *to = current + lane * TOTAL + FIRST;
        if (value == 1.0)
            add_row<POST>(to, w + (size_t)i * POST);
        else
            add_row<POST>(to, w + (size_t)i * POST, value);
    });
}

// The same through a line of SLOTS steps, kept as a ring in the shared memory.
template <int PRE, int TOTAL, int FIRST, int POST, int SLOTS, class Emissions>
void deliver_later(const Emissions &emissions, int weights, int history, int64_t step, double *current) {
    const Block &b = block();
    const double *w = b.section<double>(weights) + b.chip * PRE * POST;
    double *ring = b.section<double>(history) + b.sample(0) * SLOTS * PRE + (step % SLOTS) * PRE;
    for (int64_t lane = 0; lane < b.lanes; lane++) {
        double *slot = ring + lane * SLOTS * PRE;
        double *to = current + lane * TOTAL + FIRST;
        for (int i = 0; i < PRE; i++)
            if (slot[i] != 0.0) add_row<POST>(to, w + (size_t)i * POST, slot[i]);
        std::fill(slot, slot + PRE, 0.0);
    }
    emissions.each([&](int64_t lane, int i, double value) { ring[lane * SLOTS * PRE + i] = value; });
}

// The targets of a step, where they move.
template <int K>
void aim(int course, int64_t step, double *target) {
    const Block &b = block();
    const double *from = b.section<double>(course) + (b.first * b.steps + step) * K;
    for (int64_t lane = 0; lane < b.lanes; lane++)
        std::copy(from + lane * b.steps * K, from + lane * b.steps * K + K, target + lane * K);
}

// The feedback currents u Q of N of the TOTAL neurons of a group, from FIRST on.
template <int K, int N, int TOTAL = N, int FIRST = 0>
void feed_back(const double *control, int feedback, double *current) {
    const Block &b = block();
    const double *q = b.section<double>(feedback) + b.chip * K * N;
    for (int64_t lane = 0; lane < b.lanes; lane++) {
        double *__restrict__ to = current + lane * TOTAL + FIRST;
        const double *__restrict__ u = control + lane * K;
        for (int j = 0; j < N; j++) {  // a sum stays in a register until it is complete
            double sum = 0.0;
#pragma GCC unroll 16
            for (int k = 0; k < K; k++) sum += u[k] * q[(size_t)k * N + j];
            to[j] = sum;
        }
    }
}

// Layered feedback: at a refresh, hidden layers receive anew, from the outputs' control signal downwards.

// What the POST neurons of a layer receive, of what the PRE neurons above pass on.
template <int PRE, int POST>
void pass_down(const double *passed, int weights, double *apical) {
    const Block &b = block();
    const double *w = b.section<double>(weights) + b.chip * PRE * POST;
    std::fill(apical, apical + b.lanes * POST, 0.0);
    for (int i = 0; i < PRE; i++)  // a row of weights is read once for all samples
        for (int64_t lane = 0; lane < b.lanes; lane++)
            add_row<POST>(apical + lane * POST, w + (size_t)i * POST, passed[lane * PRE + i]);
}

// What the N neurons of a layer pass on: what they received, times their gates, which are straight lines
// between POINTS of the activity that they see.
template <int N, int POINTS>
void open_gates(const double *seen, const double *apical, int gates, int range, double *passed) {
    const Block &b = block();
    const double *curves = b.section<double>(gates) + b.chip * N * POINTS;
    const double low = b.section<double>(range)[0], scale = b.section<double>(range)[1];
    for (int64_t k = 0; k < b.lanes * N; k++) {
        const double place = std::min<double>(POINTS - 1, std::max(0.0, (seen[k] - low) * scale));
        const int below = std::min(POINTS - 2, (int)place);
        const double *at = curves + (k % N) * POINTS + below;
        passed[k] = (at[0] + (place - below) * (at[1] - at[0])) * apical[k];
    }
}

// The currents of POST of the TOTAL neurons of a group, from FIRST on, until the next refresh.
template <int TOTAL, int FIRST, int POST>
void reach(const double *apical, int strength, double *current) {
    const Block &b = block();
    const double own = b.section<double>(strength)[b.chip];
    for (int64_t lane = 0; lane < b.lanes; lane++)
        for (int j = 0; j < POST; j++) current[lane * TOTAL + FIRST + j] = own * apical[lane * POST + j];
}

// Window-weighted sums of what N neurons receive, over the steps until the next refresh.
template <int N>
void count_held(const double *apical, int window, int sums, int64_t step, int64_t every) {
    const Block &b = block();
    const int64_t end = std::min(step + every, b.steps);
    for (int64_t lane = 0; lane < b.lanes; lane++) {
        const double *weights = b.section<double>(window) + (b.first + lane) * b.steps;
        double weight = 0.0;
        for (int64_t t = step; t < end; t++) weight += weights[t];
        add_row<N>(b.section<double>(sums) + b.sample(lane) * N, apical + lane * N, weight);
    }
}

// The read-out trace, or what gates see, takes in a layer's emissions.
template <int N, class Emissions>
void read_out(const Emissions &emissions, int gain, double *trace) {
    const double each = block().section<double>(gain)[0];
    emissions.each([=](int64_t lane, int i, double value) { trace[lane * N + i] += each * value; });
}

// Window-weighted sums of the emissions.
template <int TOTAL, class Emissions>
void count(const Emissions &emissions, int window, int sums, int64_t step) {
    const Block &b = block();
    const double *weight = b.section<double>(window) + b.first * b.steps + step;
    double *to = b.section<double>(sums) + b.sample(0) * TOTAL;
    emissions.each([&](int64_t lane, int i, double value) {
        to[lane * TOTAL + i] += weight[lane * b.steps] * value;
    });
}

// Rates of a layer for plasticity: given, of the input, or window sums times a scale.

template <int N>
struct Given {
    const double *values;
    double at(int64_t sample, int i) const { return values[sample * N + i]; }
};

template <int TOTAL, int FIRST>
struct Summed {
    const double *sums;  // of the tile's chip
    double scale;
    double at(int64_t sample, int i) const { return sums[sample * TOTAL + FIRST + i] * scale; }
};

// One connection learns from the samples [from, to) of the chip under way: presynaptic rate times the
// difference between neurons and shadows.
template <int PRE, int TOTAL, int FIRST, int POST, class Rates>
void learn(const Rates &rates, int64_t from, int64_t to, int sums, int basal, double scale, double step,
           int weights, int effect, int weight_change, int bias, int bias_change) {
    const Block &b = block();
    const int64_t chip = b.chip;
    const double *emitted = b.section<double>(sums) + chip * b.batch * TOTAL;
    const double *shadowed = b.section<double>(basal) + chip * b.batch * TOTAL;
    double *w = b.section<double>(weights) + chip * PRE * POST;
    const double *f = b.section<double>(effect) + chip * PRE * POST;
    double *dw = b.section<double>(weight_change) + chip * PRE * POST;
    double *own = b.section<double>(bias) + chip * TOTAL + FIRST;
    double *db = b.section<double>(bias_change) + chip * POST;
    const double factor = step / (to - from);
    static double change[(PRE + 1) * POST];
    std::fill(change, change + (PRE + 1) * POST, 0.0);
    double error[POST];
    for (int64_t sample = from; sample < to; sample++) {
        bool any = false;
        for (int j = 0; j < POST; j++) {
            const int64_t place = sample * TOTAL + FIRST + j;
            error[j] = (emitted[place] - shadowed[place]) * scale;
            any = any || error[j] != 0.0;
        }
        if (!any) continue;
        for (int i = 0; i < PRE; i++) {
            const double rate = rates.at(sample, i);
            if (rate != 0.0) add_row<POST>(change + i * POST, error, rate);
        }
        add_row<POST>(change + PRE * POST, error);
    }
    for (int k = 0; k < PRE * POST; k++) {
        dw[k] += change[k] * factor;
        w[k] += change[k] * factor * f[k];
    }
    for (int j = 0; j < POST; j++) {
        db[j] += change[PRE * POST + j] * factor;
        own[j] += change[PRE * POST + j] * factor;
    }
}

// Synapses that learn in every step: presynaptic trace times the feedback current. Where they change, a block
// has a single sample.

struct Tracing {  // what a trace takes in of an emission, and what learns
    double share, from_first_spike, biases, changes;
    static Tracing of(int section) {
        const double *given = block().section<double>(section);
        return Tracing{given[0], given[1], given[2], given[3]};
    }
};

// What POST of the TOTAL neurons of a group, from FIRST on, learn from: the feedback currents in the window, of
// all neurons or of those that have spiked.
template <int TOTAL, int FIRST, int POST>
bool taught(int64_t lane, const double *feedback, int window, int64_t step, const double *spiked, bool gated,
            double *error) {
    const Block &b = block();
    const double weight = b.section<double>(window)[(b.first + lane) * b.steps + step];
    if (weight == 0.0) return false;
    const double *open = spiked + b.sample(lane) * POST;
    for (int j = 0; j < POST; j++) {
        error[j] = feedback[lane * TOTAL + FIRST + j] * weight;
        if (gated) error[j] *= open[j];
    }
    return true;
}

template <int PRE, int TOTAL, int FIRST, int POST>
void learn_now(const double *feedback, int64_t step, int connection, bool hidden, int window, int tracing,
               int steps, int traced, int spiked, int weights, int effect, int weight_change) {
    const Block &b = block();
    const double factor = b.section<double>(steps)[connection] / b.batch;
    const bool gated = hidden && Tracing::of(tracing).from_first_spike != 0.0;
    double *w = b.section<double>(weights) + b.chip * PRE * POST;
    const double *f = b.section<double>(effect) + b.chip * PRE * POST;
    double *dw = b.section<double>(weight_change) + b.chip * PRE * POST;
    double error[POST];
    for (int64_t lane = 0; lane < b.lanes; lane++) {
        if (!taught<TOTAL, FIRST, POST>(lane, feedback, window, step, b.section<double>(spiked), gated, error))
            continue;
        const double *x = b.section<double>(traced) + b.sample(lane) * PRE;
        for (int i = 0; i < PRE; i++) {
            const double own = x[i] * factor;
            if (own == 0.0) continue;
            for (int j = 0; j < POST; j++) {
                const double change = own * error[j];
                dw[i * POST + j] += change;
                w[i * POST + j] += change * f[i * POST + j];
            }
        }
    }
}

// Biases change for the step after.
template <int TOTAL, int FIRST, int POST>
void learn_biases(const double *feedback, int64_t step, int connection, bool hidden, int window, int tracing,
                  int steps, int spiked, int bias_change, double *bias) {
    const Block &b = block();
    const Tracing how = Tracing::of(tracing);
    if (how.biases == 0.0) return;
    const double factor = b.section<double>(steps)[connection] / b.batch;
    const bool gated = hidden && how.from_first_spike != 0.0;
    double *db = b.section<double>(bias_change) + b.chip * POST;
    double error[POST];
    for (int64_t lane = 0; lane < b.lanes; lane++) {
        if (!taught<TOTAL, FIRST, POST>(lane, feedback, window, step, b.section<double>(spiked), gated, error))
            continue;
        for (int j = 0; j < POST; j++) {
            db[j] += error[j] * factor;
            if (how.changes != 0.0) bias[lane * TOTAL + FIRST + j] += error[j] * factor;
        }
    }
}

// Traces and flags take in what the N neurons of a layer emit.
template <int N, class Emissions>
void follow(const Emissions &emissions, int layer, int tracing, int values, int traced, int spiked) {
    const Block &b = block();
    const double share = Tracing::of(tracing).share, value = b.section<double>(values)[layer];
    static double now[N];
    for (int64_t lane = 0; lane < b.lanes; lane++) {
        std::fill(now, now + N, 0.0);
        double *open = b.section<double>(spiked) + b.sample(lane) * N;
        emissions.each([&](int64_t sample, int i, double emitted) {
            if (sample != lane) return;
            now[i] = emitted * value;
            open[i] = 1.0;
        });
        double *x = b.section<double>(traced) + b.sample(lane) * N;
        for (int i = 0; i < N; i++) x[i] += share * (now[i] - x[i]);
    }
}

template <int N>
void record(const double *values, int trace, int64_t step) {
    const Block &b = block();
    for (int64_t lane = 0; lane < b.lanes; lane++)
        std::copy(values + lane * N, values + (lane + 1) * N,
                  b.section<double>(trace) + (b.sample(lane) * b.steps + step) * N);
}

template <int N, class Emissions>
void record_emissions(const Emissions &emissions, int trace, int64_t step) {
    const Block &b = block();
    double *to = b.section<double>(trace) + (b.sample(0) * b.steps + step) * N;
    emissions.each([&](int64_t lane, int i, double value) { to[lane * b.steps * N + i] = value; });
}

}  // namespace exchange

#endif
