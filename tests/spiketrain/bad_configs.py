"""Configs that cannot be, each with the words that its message has to have."""

from __future__ import annotations

CONFIG = """\
task: {name: digits}
network: {layers: [64, 20, 10], neuron: {model: lif, tau_m_ms: 20, bias: 0.5}}
mismatch: {chips: 2, threshold: {distribution: normal, cv: 0.2}}
rule: {name: dfc, prediction: two_phase, controller: {kp: 0.5}}
simulator: {name: torch, presentation_ms: 20, window_ms: 10}
training: {epochs: 1, batch: 32, learning_rate: 0.5, optimizer: sgd}
"""

OVERRIDES = {
    "unknown section": ("trainig.epochs=3", ["trainig", "'training'"]),
    "unknown key": ("training.epohcs=3", ["training.epohcs", "3", "'epochs'"]),
    "unknown key of a neuron": ("network.neuron.tau_ms=3", ["network.neuron.tau_ms", "'tau_m_ms'"]),
    "unknown key of a rule": ("rule.controler.kp=1", ["rule.controler", "'controller'"]),
    "unknown key of a nested part": ("rule.controller.kpp=1", ["rule.controller.kpp", "'kp'"]),
    "unknown key of an optimizer": ("training.optimizer.momentums=0.1", ["momentums", "'momentum'"]),
    "unknown key of a simulator": (
        "simulator.presentation=1",
        ["simulator.presentation", "'presentation_ms'"],
    ),
    "unknown key of a distribution": ("mismatch.threshold.sigma=1", ["mismatch.threshold.sigma", "cv"]),
    "unknown parameter deviates": ("mismatch.treshold={distribution: normal, cv: 0.1}", ["'threshold'"]),
    "unknown rule": ("rule.name=dcf", ["rule.name", "'dcf'", "'dfc'"]),
    "unknown task": ("task.name=digit", ["task.name", "'digits'"]),
    "unknown neuron": ("network.neuron.model=lef", ["network.neuron.model", "'lif'"]),
    "unknown simulator": ("simulator.name=brain2", ["simulator.name", "'brian2'"]),
    "unknown encoding": ("bridge.encoding=poison", ["bridge.encoding.name", "'poisson'"]),
    "unknown distribution": (
        "mismatch.threshold.distribution=gauss",
        ["mismatch.threshold.distribution", "normal"],
    ),
    "unknown optimizer": ("training.optimizer=adan", ["training.optimizer.name", "'adam'"]),
    "unknown prediction": ("rule.prediction=basel", ["rule.prediction.name", "'basal'"]),
    "unknown arm": ("training.arm=in_lop", ["training.arm", "in_loop"]),
    "part without a name": ("rule={controller: {kp: 1}}", ["rule.name", "nothing"]),
    "text for an integer": ("training.epochs='3'", ["training.epochs", "'3'", "integer"]),
    "boolean for an integer": ("training.epochs=true", ["training.epochs", "True", "integer"]),
    "fraction for an integer": ("training.batch=1.5", ["training.batch", "1.5", "integer"]),
    "list for a number": ("training.learning_rate=[1]", ["training.learning_rate", "[1]", "a number"]),
    "number for a section": ("network=3", ["network", "mapping"]),
    "section left empty": ("network=", ["network", "None", "mapping"]),
    "number for a distribution": ("mismatch.threshold=0.2", ["mismatch.threshold", "0.2", "distribution"]),
    "not a number": ("training.learning_rate=.nan", ["training.learning_rate", "nan", "finite"]),
    "infinite": ("rule.controller.kp=.inf", ["rule.controller.kp", "inf", "finite"]),
    "too large for a number": ("simulator.dt_ms=1e999", ["simulator.dt_ms", "finite"]),
    "negative time constant": ("network.neuron.tau_m_ms=-20", ["network.neuron.tau_m_ms", "-20", ">= 0.001"]),
    "reset above threshold": ("network.neuron.reset=2", ["network.neuron.reset", "2", "threshold"]),
    "wrong output neuron": (
        "network.output_neuron={tau_m_ms: 0}",
        ["network.output_neuron.tau_m_ms", ">= 0.001"],
    ),
    "negative gain": ("rule.controller.kp=-1", ["rule.controller.kp", "-1", ">= 0"]),
    "no epochs": ("training.epochs=0", ["training.epochs", "0", ">= 1"]),
    "no chips": ("mismatch.chips=0", ["mismatch.chips", "0"]),
    "negative seed": ("mismatch.seed=-1", ["mismatch.seed", "-1"]),
    "mismatch too wide": ("mismatch.threshold.cv=2", ["mismatch.threshold.cv", "lognormal"]),
    "learning rate of 0": ("training.learning_rate=0", ["training.learning_rate", ">= 1e-06"]),
    "guard that does nothing": ("training.guard={fall: null}", ["training.guard", "does something"]),
    "guard that never backs off": (
        "training.guard={fall: null, residual: 0.1, back_off: 0.7}",
        ["training.guard.back_off", "no chip is set back"],
    ),
    "guard against everything": ("training.guard.fall=1", ["training.guard.fall", "> 1"]),
    "average of 1": ("training.average=1.0", ["training.average", "< 1"]),
    "rates in the wrong order": (
        "bridge.target_rates=[0.8, 0.1]",
        ["bridge.target_rates", "lower one first"],
    ),
    "one rate": ("bridge.target_rates=[0.8]", ["bridge.target_rates", "a list of 2"]),
    "one layer": ("network.layers=[64]", ["network.layers", "a list of 2"]),
    "empty layer": ("network.layers=[64, 0, 10]", ["network.layers.1", "0"]),
    "inputs do not fit": ("network.layers=[65, 20, 10]", ["network.layers", "64 first", "digits"]),
    "outputs do not fit": ("network.layers=[64, 20, 11]", ["network.layers", "10 last", "digits"]),
    "gains do not fit": ("network.weight_gain=[1, 2, 3]", ["network.weight_gain", "a list of 2"]),
    "spreads do not fit": ("network.bias_spread=[1.0]", ["network.bias_spread", "a list of 2"]),
    "delay between steps": ("network.delay_ms=1.5", ["network.delay_ms", "1.5", "multiple"]),
    "presentation between steps": (
        "simulator.presentation_ms=20.5",
        ["simulator.presentation_ms", "multiple"],
    ),
    "window too long": ("simulator.window_ms=30", ["simulator.window_ms", "30", "20 ms"]),
    "test window too long": ("simulator.test_window_ms=30", ["simulator.test_window_ms", "20 ms"]),
    "unknown device": ("simulator.device=gpu7", ["simulator.device", "gpu7", "cpu"]),
    "unknown dtype": ("simulator.dtype=float16", ["simulator.dtype", "float16", "float64"]),
    "network larger than memory": ("network.layers=[64, 3000000, 10]", ["limits.memory_gb", "GB"]),
    "batch larger than the data": ("training.batch=2000", ["training.batch", "2000", "1437"]),
    "shadow without shadows": ("mismatch.shadow=shared", ["mismatch.shadow", "without effect"]),
    "share without shadows": ("mismatch.shadow_share=0.5", ["mismatch.shadow_share", "no shadow deviates"]),
    "name with a slash": ("name=../x", ["name", "../x", "letters"]),
    "override without a value": ("training.epochs", ["--set", "training.epochs", "section.key=value"]),
    "override without a key": ("=3", ["--set", "section.key=value"]),
    "override inside a number": ("training.epochs.x=3", ["--set", "epochs"]),
    "override with a tag": ("training.epochs=!!python/name:os.system", ["--set", "tag"]),
    "override that is no YAML": ("training.epochs=[1", ["--set", "line 1"]),
}

LONG = "a" * 5000
DIGITS = "1" * 4000

OVERRIDES |= {
    "a refractory time of no step": (
        "network.neuron.refractory_ms=0.3",
        ["network.neuron.refractory_ms", "0.3", "half a time step"],
    ),
    "deviations of a refractory time of 0": (
        "mismatch.refractory={distribution: normal, cv: 0.2}",
        ["mismatch.refractory", "refractory_ms: 0"],
    ),
    "drift of a parameter that is 0": (
        "mismatch.random_walk={std: {refractory: 0.1}}",
        ["mismatch.random_walk.std.refractory", "not 0"],
    ),
    "a rate of faults that are none": (
        "mismatch.faults={firing_rate: 2.0}",
        ["mismatch.faults.firing_rate", "without effect"],
    ),
    "more than a spike a step": ("bridge.max_rate_hz=100000", ["bridge.max_rate_hz", "1000 Hz", "dt_ms"]),
    "a delay longer than the presentation": (
        "network.delay_ms=100",
        ["network.delay_ms", "200 steps", "presentation_ms, 20 steps"],
    ),
    "delays that add up to the presentation": ("network.delay_ms=10", ["network.delay_ms", "20 steps"]),
    "a huge layer": ("network.layers=[64, 1e23, 10]", ["network.layers.1", "an integer"]),
    "a huge delay": ("network.delay_ms=1e300", ["network.delay_ms", "1000000"]),
    "a huge population": ("mismatch.chips=1000000000000000000", ["mismatch.chips", "<= 1000000"]),
    "a huge presentation": ("simulator.presentation_ms=1e308", ["simulator.presentation_ms", "1000000"]),
    "a tiny step": ("simulator.dt_ms=1e-308", ["simulator.dt_ms", ">= 0.001"]),
    "steps without number": (
        "simulator={name: torch, dt_ms: 0.001, presentation_ms: 1e5, window_ms: 1}",
        ["simulator.presentation_ms", "1e+08 steps", "at most 1000000 steps"],
    ),
    "training for ever": ("training.epochs=1e23", ["training.epochs", "an integer"]),
    "an integer of 4,000 digits": (f"training.epochs={DIGITS}", ["training.epochs", "111...", "<= 1000000"]),
    "a number of 4,000 digits": (f"rule.controller.kp={DIGITS}", ["rule.controller.kp", "111..."]),
    "an integer of 5,000 digits": (f"training.epochs={LONG.replace('a', '1')}", ["training.epochs"]),
    "a very long name": (f"name={LONG}", ["name", "at most 100"]),
    "a key of hundreds of dots": (f"{'a.' * 800}b=1", ["--set", "at most 32 parts"]),
    "a very long key": (f"training.{LONG}=1", ["unknown key"]),
}

COMBINATIONS = {
    "deviations of a synapse without a filter": (
        ["network.neuron.tau_syn_ms=0", "mismatch.tau_syn={distribution: normal, cv: 0.2}"],
        ["mismatch.tau_syn", "tau_syn_ms: 0"],
    ),
    "refractory deviations within a step": (
        ["network.neuron.refractory_ms=1", "mismatch.refractory={distribution: uniform, cv: 0.1}"],
        ["mismatch.refractory", "refractory_ms: 1"],
    ),
    "a delay of more bits than Loihi has": (
        ["simulator.name=loihi", "network.delay_ms=100", "simulator.presentation_ms=400"],
        ["network.delay_ms", "100 steps", "at most 64 steps", "6 bits"],
    ),
    "a refractory time of more bits than Loihi has": (
        ["simulator.name=loihi", "network.neuron.refractory_ms=100"],
        ["network.neuron.refractory_ms", "100 steps", "at most 63 steps"],
    ),
    "drawn refractory times of more bits than Loihi has": (
        [
            "simulator.name=loihi",
            "network.neuron.refractory_ms=60",
            "mismatch.refractory={distribution: normal, cv: 0.3}",
        ],
        ["mismatch.refractory", "at most 63 steps"],
    ),
    "currents that do not fit Loihi's messages": (
        [
            "simulator.name=loihi",
            "network.neuron={model: rate}",
            "mismatch={chips: 2}",
            "bridge.encoding={name: current, high: 3.0}",
        ],
        ["bridge.encoding", "3.0", "from -1 to 1"],
    ),
    "a delay of the input's currents": (
        ["bridge.encoding=current", "network.delay_ms=[2, 1]"],
        ["network.delay_ms", "2.0", "at once"],
    ),
    "a spike of two conditions for a surrogate gradient": (
        [
            "rule={name: surrogate_bptt}",
            "training.optimizer=adam",
            "simulator.name=torch",
            "network.neuron={model: equations, equations: dv/dt = -v/tau, threshold: v > 1 and v < 9, "
            "reset: v = 0, parameters: {tau: 9 ms}}",
            "mismatch={}",
        ],
        ["network.neuron.threshold", "one comparison"],
    ),
    "feedback mismatch without a loop": (
        ["rule={name: readout_only}", "mismatch.feedback={distribution: normal, cv: 0.2}"],
        ["mismatch.feedback", "closes no loop"],
    ),
    "hidden scale without hidden layers": (
        ["network.layers=[64, 10]", "training.hidden_scale=2.0"],
        ["training.hidden_scale", "2.0", "no hidden layer"],
    ),
    "bias spread without hidden layers": (
        ["network.layers=[64, 10]", "network.bias_spread=2.0"],
        ["network.bias_spread", "2.0"],
    ),
    "validation set twice": (
        ["task={name: yinyang}", "network.layers=[4, 20, 3]", "training.validation=0.2"],
        ["training.validation", "0.2", "yinyang"],
    ),
    "validation set of a few samples": (
        ["training.validation=0.0001"],
        ["training.validation", "both parts"],
    ),
    "too few samples of Yin-Yang": (
        ["task={name: yinyang, train_samples: 0}", "network.layers=[4, 20, 3]"],
        ["task.train_samples", "0"],
    ),
    "no file": (["task={name: npz}"], ["task.file", "nothing", "required"]),
    "missing file": (["task={name: npz, file: no.npz}"], ["task.file", "no.npz", "existing"]),
    "missing folder": (["task={name: idx, folder: none}"], ["task.train_images", "none", "--data-dir"]),
}

FILES = {
    "empty": (b"", ["an empty file", "mapping"]),
    "a list": (b"- 1\n- 2\n", ["[1, 2]", "mapping"]),
    "a text": (b"just words\n", ["just words", "mapping"]),
    "binary junk": (bytes(range(256)), ["UTF-8"]),
    "zeros": (b"task: \0\0", ["x.yaml", "#x0000"]),
    "no YAML": (b"task: {name: digits\nnetwork: [", ["line"]),
    "two documents": (b"task: digits\n---\nrule: dfc\n", ["line"]),
    "a tag": (b"task: !!python/object/apply:os.system ['echo']\n", ["tag"]),
    "a local tag": (b"task: !name digits\n", ["tag"]),
    "a key twice": (b"task: digits\ntask: npz\n", ["'task'", "twice"]),
    "a number as key": (b"1: digits\n", ["'1'", "not a text"]),
    "a list as key": (b"? [1, 2]\n: digits\n", ["not a text"]),
    "anchors that explode": (
        b"a: &a [x, x, x, x, x, x, x, x, x]\n"
        + b"".join(
            b"%c: &%c [%s]\n" % (c, c, b", ".join([b"*%c" % (c - 1)] * 9)) for c in range(ord("b"), ord("j"))
        ),
        ["10000", "aliases"],
    ),
    "an alias inside itself": (b"task: &a [*a]\n", ["*a", "inside"]),
    "an unknown alias": (b"task: *nothing\n", ["line"]),
    "very deep": (b"task: " + b"[" * 500 + b"]" * 500, ["levels"]),
    "a very long number": (b"task: " + b"1" * 6000, ["x.yaml"]),
    "a megabyte": (b"task: " + b"x" * 1_000_000, ["1000000 bytes"]),
    "half a surrogate": (b'task: "\\ud800"\n', ["task"]),
    "nothing required": (b"task: digits\n", ["network", "nothing", "required"]),
}
