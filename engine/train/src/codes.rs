//! The codes of failures, each with the paragraph that `mmar explain` prints.

/// The codes that a run, and the components in it, can fail with; those of configs are [`mmar_config::Code`]'s, those of
/// plugins that cannot be loaded [`mmar_loader::LoadCode`]'s.
pub const FAILURES: [(&str, &str); 19] = [
    (
        "invalid-config",
        "The config has errors; each was printed with its place and a code of its own, which `mmar explain` explains, too. \
         `mmar check` prints them without starting anything.",
    ),
    (
        "not-an-evaluation-config",
        "`mmar evaluate` runs validation and inference configs, which have the keys of one section at their root. A config \
         with a `train` section is for `mmar train`, which runs its `validate` section, too.",
    ),
    (
        "no-gpu",
        "The run must have a GPU (`--require-gpu`, or a device such as `cuda:1` in the config), and there is none, or not \
         so many. `mmar doctor` says what is missing. Without `--require-gpu` a run falls back to the CPU.",
    ),
    (
        "cannot-resume",
        "The run that was named cannot go on: there is none, its `last.pt` cannot be read, or the config changed in a way \
         that its state does not fit to. Paths and the number of epochs may change; with `--allow-changed` the network, the \
         optimizer and the schedule may, too, as far as the weights fit.",
    ),
    (
        "run-folder-not-empty",
        "The folder that `--output` names has files in it. A run folder is never reused, so that each run keeps its own \
         config, log and checkpoints. Name an empty folder, or go on with the run in it: `--resume FOLDER`.",
    ),
    (
        "cannot-write",
        "A file or folder of the run cannot be written: mostly permissions or a full disk. What was written before is whole: \
         files are written beside their place and then renamed.",
    ),
    (
        "checkpoint-not-saved",
        "A checkpoint could not be written, or did not come back as it was written. A checkpoint that was there before is \
         untouched. Check the free space and the permissions.",
    ),
    (
        "loss-detached",
        "The loss has no gradient, so nothing could be learnt. `detach`, `no_grad`, comparisons, `argmax` and turning a \
         tensor into a number (`double_value`) all cut the gradient. `mmar plugin check` finds it before a training does.",
    ),
    (
        "non-finite-loss",
        "The loss became infinite or not a number. The notes say what was already so before: the image, the label, the \
         network's output or its weights. Usual causes are a learning rate that is too high, a division by a sum that can \
         be zero, a logarithm of 0, or values out of range for half precision.",
    ),
    (
        "weights-do-not-fit",
        "A rebuilt plugin has a network whose parameters have other shapes than the one in training, so its weights cannot \
         be kept. The former build stays in use. Train it in a new run, or resume with `--allow-changed`.",
    ),
    (
        "nothing-to-watch",
        "`--watch` follows plugins, and the config names none. A component comes from a plugin when it has a `path` with the \
         plugin's module in it: `BYOC.myLoss.MyDiceLoss`.",
    ),
    (
        "interrupted",
        "The run was stopped by Ctrl-C or a signal. The step was finished and `last.pt` was written: `--resume` goes on as \
         if nothing had happened. A second Ctrl-C stops at once.",
    ),
    (
        "internal-error",
        "Something happened that the engine excludes: a bug of mmar. Please report it with the run's log; the message names \
         the place.",
    ),
    (
        "invalid-argument",
        "A component refused an argument that is of the right type but makes no sense for it, alone or with the others. The \
         message is the component's own.",
    ),
    (
        "tensor-error",
        "libtorch refused an operation, mostly because shapes or dtypes do not match. The notes have the shapes that went \
         in. A usual cause is a network with another number of channels than the label has classes.",
    ),
    (
        "bad-data",
        "A sample is not what a component needs: a key is missing, a file is broken, an image has another number of axes. The \
         notes name the sample. Transforms run in the order of the config, and each sees what the former ones left.",
    ),
    (
        "component-panicked",
        "A component panicked; the note has the place in its source and its message. A panic is a bug of the component, \
         mostly an operation of tch without the prefix `f_` whose shapes do not match. The run stopped, and the last \
         checkpoint is whole.",
    ),
    (
        "component-poisoned",
        "A component panicked earlier and was called again. After a panic nothing is known about its state, so it answers \
         nothing any more. The first error is the one to look at.",
    ),
    (
        "unsupported",
        "A component was asked for something that it does not offer: a transform that cannot be inverted, a component without \
         a state to save.",
    ),
];
