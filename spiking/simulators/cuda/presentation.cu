// A presentation: a block is one sample on one chip, a thread is PER of its neurons.
//
// Neurons of all layers lie side by side in columns, each layer padded to whole words of 32, so that the
// neurons of a warp are of one layer. What is emitted is a bit per neuron in shared memory (and a value,
// where a neuron emits an activity); membranes, currents and window sums stay in registers. The order of
// a step is that of docs/model.md. The text is read by NVRTC and, with host.h before it, by a C++ compiler.
//
// Before it stand: REAL, THREADS, BLOCKS, PER, STATES, CONSTANTS; SHADOW, RELAY, VALUES, NOISE, CLOSED, DELAYS as 0 or 1;
// the structure Arguments; and advance(group, state, current, constants), made of the neurons' equations.

#define EACH(m) for (int m = 0; m < PER; m++)

__device__ static inline REAL gate_at(REAL x, const REAL *curve, int points, REAL low, REAL scale)
{
    const REAL place = (x - low) * scale;
    if (!(place > REAL(0))) return curve[0];
    if (place >= REAL(points - 1)) return curve[points - 1];
    const int below = (int)place;
    return curve[below] + (place - REAL(below)) * (curve[below + 1] - curve[below]);
}

// Add to a current the weights of all neurons whose bits are set; `row` is the width of the table.
__device__ static inline REAL add_rows(REAL current, const unsigned *words, int count, const REAL *weights, int row)
{
    for (int word = 0; word < count; word++) {
        unsigned left = words[word];
        const REAL *first = weights + (long long)word * 32 * row;
        while (left != 0) {
            const int bit = __ffs(left) - 1;
            left &= left - 1;
            current += first[(long long)bit * row];
        }
    }
    return current;
}

__device__ static inline REAL add_products(REAL current, const REAL *x, int count, const REAL *weights, int row)
{
    for (int i = 0; i < count; i++)
        if (x[i] != REAL(0)) current += x[i] * weights[(long long)i * row];
    return current;
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) present(const Arguments a)
{
    SHARED_MEMORY
    REAL *u = (REAL *)shared_memory, *trace = u + a.outputs, *integral = trace + a.outputs;
    REAL *effort = integral + a.outputs, *passed = effort + a.outputs;
    REAL *values = passed + (RELAY ? a.columns : 0);
    unsigned *masks = (unsigned *)(values + (VALUES ? a.columns : 0));

    const int columns = a.columns, outputs = a.outputs, layers = a.layers;
    const int chip = blockIdx.x / a.batch, sample = blockIdx.x % a.batch;
    const long long here = (long long)chip * a.batch + sample, all = (long long)a.chips * a.batch;
    const bool controlled = CLOSED && a.controlled[sample] > REAL(0);
    const bool softmax = CLOSED && a.softmax[sample] > REAL(0);
    const REAL *target = a.target + ((long long)(a.target_chips > 1 ? chip : 0) * a.batch + sample) * outputs;
    const REAL *readout = a.readout + (long long)chip * 2 * outputs, *gains = a.gains + here * 3 * outputs;
    const REAL *feedback = a.feedback + (long long)chip * outputs * columns;
    const REAL *weights = a.weights + (long long)chip * a.weights_total;
    const REAL *relay_weights = a.relay_weights + (long long)chip * a.relay_total;
    const unsigned *spikes = a.spikes + (long long)sample * a.steps * a.input_words;

    int layer[PER], place[PER];
    bool live[PER];
    REAL state[PER][STATES], constant[PER][CONSTANTS], synapse[PER], drive[PER], keep[PER], sum[PER];
    REAL shadow[PER][STATES], shadow_constant[PER][CONSTANTS], shift[PER], basal[PER];
    REAL seen[PER], apical[PER], received[PER], emitted[PER];

    EACH(m) {
        const int n = threadIdx.x + m * THREADS;
        layer[m] = n < columns ? a.layer_of[n / 32] : 0;
        place[m] = n - a.first[layer[m]];
        live[m] = n < columns && place[m] < a.size[layer[m]];
        sum[m] = basal[m] = seen[m] = apical[m] = received[m] = emitted[m] = shift[m] = REAL(0);
        synapse[m] = drive[m] = keep[m] = REAL(0);
        for (int s = 0; s < STATES; s++) state[m][s] = shadow[m][s] = REAL(0);
        for (int k = 0; k < CONSTANTS; k++) constant[m][k] = shadow_constant[m][k] = REAL(0);
        if (live[m]) {
            synapse[m] = a.synapse[here * columns + n];
            drive[m] = a.drive[((long long)chip * a.drive_batch + (a.drive_batch > 1 ? sample : 0)) * columns + n];
            keep[m] = a.decay[(long long)chip * columns + n];
            for (int s = 0; s < STATES; s++) state[m][s] = a.neurons[(s * all + here) * columns + n];
            for (int k = 0; k < CONSTANTS; k++)
                constant[m][k] = a.constants[((long long)chip * CONSTANTS + k) * columns + n];
            if (SHADOW) {
                shift[m] = a.shadow_bias[(long long)chip * columns + n];
                for (int s = 0; s < STATES; s++) shadow[m][s] = a.shadows[(s * all + here) * columns + n];
                for (int k = 0; k < CONSTANTS; k++)
                    shadow_constant[m][k] = a.shadow_constants[((long long)chip * CONSTANTS + k) * columns + n];
            }
            if (RELAY) seen[m] = a.gates[here * columns + n];
        }
    }
    for (int k = threadIdx.x; k < outputs; k += THREADS) {
        trace[k] = a.trace[here * outputs + k];
        integral[k] = a.integral[here * outputs + k];
        effort[k] = u[k] = REAL(0);
    }

    for (int t = 0; t < a.steps; t++) {
        const REAL weight = a.window[(long long)sample * a.steps + t];

        // the controller; its numbers are a thread's own but for the soft-max
        if (controlled) {
            if (softmax) __syncthreads();
            REAL most = REAL(0), total = REAL(0);
            if (softmax) {
                most = readout[0] * trace[0] + readout[outputs];
                for (int i = 1; i < outputs; i++) {
                    const REAL other = readout[i] * trace[i] + readout[outputs + i];
                    most = other > most ? other : most;
                }
                for (int i = 0; i < outputs; i++)
                    total += exp(readout[i] * trace[i] + readout[outputs + i] - most);
            }
            for (int k = threadIdx.x; k < outputs; k += THREADS) {
                REAL reads = readout[k] * trace[k] + readout[outputs + k];
                if (softmax) reads = exp(reads - most) / total;
                const REAL error = target[k] - reads;
                integral[k] += gains[outputs + k] * error - gains[2 * outputs + k] * integral[k];
                u[k] = gains[k] * error + integral[k];
                if (weight != REAL(0)) effort[k] += weight * u[k];
            }
        }
        __syncthreads();

        // what hidden layers receive, from the outputs downwards
        if (RELAY && controlled && t % a.every == 0) {
            for (int to = layers - 2; to >= 0; to--) {
                EACH(m) if (live[m] && layer[m] == to) {
                    const int n = threadIdx.x + m * THREADS, above = a.size[to + 1];
                    const REAL *from = to == layers - 2 ? u : passed + a.first[to + 1];
                    const REAL *table = relay_weights + a.relay_start[to] + place[m];
                    REAL arriving = REAL(0);
                    for (int i = 0; i < above; i++) arriving += from[i] * table[(long long)i * a.size[to]];
                    apical[m] = arriving;
                    const REAL *curve =
                        a.curves + ((long long)(a.curve_chips > 1 ? chip : 0) * columns + n) * a.points;
                    passed[n] = gate_at(seen[m], curve, a.points, a.low[n], a.scale[n]) * arriving;
                }
                __syncthreads();
            }
        }

        // membranes and their shadows, which see all currents but the feedback
        EACH(m) {
            const int n = threadIdx.x + m * THREADS;
            REAL emits = REAL(0), shadow_emits = REAL(0);
            if (live[m]) {
                REAL given = drive[m];
                if (n < a.driven)
                    given = add_products(
                        given, a.values + ((long long)sample * a.steps + t) * a.inputs, a.inputs,
                        a.input_weights + (long long)chip * a.inputs * a.driven + n, a.driven);
                given = synapse[m] + given;
                REAL fed = NOISE ? a.noise[((long long)t * a.batch + sample) * columns + n] : REAL(0);
                if (controlled) {
                    if (RELAY && layer[m] < layers - 1) {
                        fed += a.strength[(long long)chip * columns + n] * apical[m];
                    } else if (RELAY) {
                        const REAL *table = relay_weights + a.relay_start[layers - 1] + place[m];
                        for (int k = 0; k < outputs; k++) fed += u[k] * table[(long long)k * outputs];
                    } else {
                        for (int k = 0; k < outputs; k++) fed += u[k] * feedback[(long long)k * columns + n];
                    }
                }
                if (a.r_fed) a.r_fed[(here * a.steps + t) * columns + n] = fed;
                const int group = a.group[layer[m]];
                if (SHADOW)
                    shadow_emits = advance(group, shadow[m], given + shift[m], shadow_constant[m]);
                emits = advance(group, state[m], given + fed, constant[m]);
                synapse[m] *= keep[m];
                emitted[m] = emits;
                if (weight != REAL(0)) {
                    sum[m] += weight * emits;
                    if (SHADOW) basal[m] += weight * shadow_emits;
                    if (RELAY) received[m] += weight * apical[m];
                }
                if (VALUES) values[n] = emits;
            }
            const unsigned mask = __ballot_sync(0xffffffffu, emits != REAL(0));
            if (n < columns && n % 32 == 0) masks[n / 32] = mask;
        }
        __syncthreads();

        // what arrives now, for the membranes of the next step
        EACH(m) if (live[m]) {
            const int n = threadIdx.x + m * THREADS, row = a.size[layer[m]];
            REAL current = synapse[m];
            for (int c = a.arrives[layer[m]]; c < a.arrives[layer[m] + 1]; c++) {
                const int pre = a.pre[c], wait = a.wait[c];
                const REAL *table = weights + a.start[c] + place[m];
                if (pre == 0) {
                    if (a.spikes_in)
                        current = add_rows(current, spikes + (long long)t * a.input_words, a.input_words, table, row);
                    continue;
                }
                const int first = a.first[pre - 1], count = a.size[pre - 1], width = (count + 31) / 32;
                if (VALUES && !a.spiking[pre - 1]) {
                    const REAL *x = values + first;
                    if (DELAYS && wait > 0)
                        x = a.ring_values + here * a.ring_values_total + a.ring[c] + (long long)(t % wait) * count;
                    current = add_products(current, x, count, table, row);
                } else {
                    const unsigned *words = masks + first / 32;
                    if (DELAYS && wait > 0)
                        words = a.ring_words + here * a.ring_words_total + a.ring[c] + (long long)(t % wait) * width;
                    current = add_rows(current, words, width, table, row);
                }
            }
            synapse[m] = current;
            if (RELAY && layer[m] < layers - 1) seen[m] = seen[m] * a.gate_keep + a.added[layer[m]] * emitted[m];
            if (a.r_spikes) a.r_spikes[(here * a.steps + t) * columns + n] = emitted[m];
            if (a.r_voltage) a.r_voltage[(here * a.steps + t) * columns + n] = state[m][0];
            if (a.r_current) a.r_current[(here * a.steps + t) * columns + n] = current;
        }
        for (int k = threadIdx.x; k < outputs; k += THREADS) {
            const int n = a.first[layers - 1] + k;
            const REAL emits = VALUES ? values[n] : REAL((masks[n / 32] >> (n % 32)) & 1u);
            trace[k] = trace[k] * a.trace_keep + a.trace_gain * emits;
            if (a.r_control) a.r_control[(here * a.steps + t) * outputs + k] = u[k];
            if (a.r_readout) a.r_readout[(here * a.steps + t) * outputs + k] = trace[k];
        }
        if (DELAYS) {
            __syncthreads();  // all have read what arrives, and what is emitted now takes its place
            for (int c = 0; c < a.connections; c++) {
                const int pre = a.pre[c], wait = a.wait[c];
                if (pre == 0 || wait == 0) continue;
                const int first = a.first[pre - 1], count = a.size[pre - 1], width = (count + 31) / 32;
                if (VALUES && !a.spiking[pre - 1]) {
                    REAL *slot = a.ring_values + here * a.ring_values_total + a.ring[c] + (long long)(t % wait) * count;
                    for (int i = threadIdx.x; i < count; i += THREADS) slot[i] = values[first + i];
                } else {
                    unsigned *slot = a.ring_words + here * a.ring_words_total + a.ring[c] + (long long)(t % wait) * width;
                    for (int i = threadIdx.x; i < width; i += THREADS) slot[i] = masks[first / 32 + i];
                }
            }
        }
    }

    EACH(m) if (live[m]) {
        const int n = threadIdx.x + m * THREADS;
        a.synapse[here * columns + n] = synapse[m];
        a.emitted[here * columns + n] = sum[m];
        for (int s = 0; s < STATES; s++) a.neurons[(s * all + here) * columns + n] = state[m][s];
        if (SHADOW) {
            a.basal[here * columns + n] = basal[m];
            for (int s = 0; s < STATES; s++) a.shadows[(s * all + here) * columns + n] = shadow[m][s];
        }
        if (RELAY) {
            a.apical[here * columns + n] = received[m];
            a.gates[here * columns + n] = seen[m];
        }
    }
    for (int k = threadIdx.x; k < outputs; k += THREADS) {
        a.trace[here * outputs + k] = trace[k];
        a.integral[here * outputs + k] = integral[k];
        a.effort[here * outputs + k] = effort[k];
    }
}
