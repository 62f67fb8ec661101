"""`swinprune prune`: targets met and told, files that are whole, and what is there left as it was."""

import json
import resource
import signal
import time

import forked
import numpy as np
import pytest
import timm
import torch
from PIL import Image

import swinprune_lite as sp
from swinprune_lite.__main__ import main
from swinprune_lite.files import sha256
from swinprune_lite.jobs import tuning
from swinprune_lite.report import page_data
from swinprune_lite.shell import keeping, records, targets
from swinprune_lite.shell.named import Loaded, load_model
from swinprune_lite.shell.output import change
from swinprune_lite.shell.pruned import INSTEAD, NO_GROUPS, ZEROS, Asked, prune
from swinprune_lite.shell.targets import amount

MODEL = "swin_lite_micro"
QUICK = ("prune", MODEL, "--ratio", "0.5", "--no-repair")


def call(capsys, *arguments):
    code = main([str(each) for each in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("target", [{"ratio": 0.5}, {"target_macs": "60%"}, {"target_params": "110K"}])
@pytest.mark.parametrize("structured", [False, True])
def test_a_target_is_met_and_told(target, structured, monkeypatch):
    monkeypatch.setattr(targets, "BISECTIONS", 5)
    loaded = load_model(MODEL)
    whole = sp.load_lite(MODEL)
    dense = sp.cost(whole)
    found = prune(loaded, Asked(**target, structured=structured, repair=False))
    left = sp.cost(found.model)
    achieved = found.results["achieved"]
    assert achieved["nonzero_parameters"] == left.nonzero_params
    assert achieved["nonzero_macs"] == left.nonzero_macs
    assert achieved["macs"] == (left.macs if structured else dense.macs)
    macs, parameters = left.nonzero_macs, left.nonzero_params
    if "target_macs" in target or (structured and "ratio" in target):
        wanted = 0.6 if "target_macs" in target else 0.5
        assert macs <= wanted * dense.macs
        assert macs >= (wanted - (0.06 if structured else 0.002)) * dense.macs
    elif "target_params" in target:
        assert parameters <= 110_000
        assert parameters >= 100_000 if structured else parameters >= 110_000 - 3
    else:
        assert achieved["ratio"] == pytest.approx(0.5, abs=1e-4)
    stages = found.results["stages"]
    weights = sum(whole.get_parameter(name).numel() for name in sp.prunable(whole))
    assert sum(row["weights"] for row in stages) == weights
    if not structured:
        assert dense.params - sum(row["weights"] - row["kept"] for row in stages) == left.nonzero_params
        assert dense.macs - sum(row["macs"] - row["kept_macs"] for row in stages) == left.nonzero_macs


def test_the_same_masks_as_in_python():
    model = sp.load_lite(MODEL)
    masks = sp.make_masks(model, 0.4, "lamp")
    found = prune(load_model(MODEL), Asked(ratio=0.4, method="lamp", repair=False))
    assert all(torch.equal(found.masks[name], mask) for name, mask in masks.items())
    sp.repair(model, masks)
    repaired = prune(load_model(MODEL), Asked(ratio=0.4, method="lamp"))  # repaired without an image
    for name, parameter in repaired.model.named_parameters():
        assert torch.equal(parameter, model.get_parameter(name))


@pytest.mark.parametrize("structured", [False, True])
def test_what_is_ignored_stays_whole(structured):
    found = prune(
        load_model(MODEL), Asked(ratio=0.3, ignore=["layers.2.*.mlp.fc1"], structured=structured, repair=False)
    )
    dense = sp.load_lite(MODEL)
    for name in found.results["ignored"]:
        assert torch.equal(found.model.get_parameter(name), dense.get_parameter(name))
    assert len(found.results["ignored"]) == 6
    assert found.results["achieved"]["ratio"] > 0.2


def test_how_far_one_can_go_with_groups(monkeypatch):
    monkeypatch.setattr(targets, "BISECTIONS", 2)
    with pytest.raises(ValueError, match=r"9 parameters cannot be reached: .* \d+,\d+ are left; give that or more"):
        prune(load_model(MODEL), Asked(target_params="9", structured=True))


def test_amounts():
    assert amount("2.2G", 10**10, "MACs") == 2_200_000_000
    assert amount(" 50 % ", 300, "MACs") == 150
    assert amount("7", 7, "MACs") == 7
    for wrong in ("0", "8", "-1", "1e3", "2,2G", "G", ""):
        with pytest.raises(ValueError, match="MACs"):
            amount(wrong, 7, "MACs")


def test_files_and_record_agree(tmp_path, capsys):
    code, out, error = call(capsys, *QUICK, "--output", "p")
    assert code == 0
    left = sp.cost(load_model("p.safetensors").model)
    assert f"MACs {change(left.macs, left.nonzero_macs)}; parameters {change(left.params, left.nonzero_params)}" in out
    assert f"{ZEROS}{INSTEAD}" in error
    record = records.read("p.json")
    loaded = load_model("p.safetensors")
    assert record["results"]["output"]["sha256"] == sha256("p.safetensors") == loaded.sha256
    assert loaded.pruned["dense_sha256"] == record["model"]["sha256"] == sp.lite_card(MODEL)["sha256"]
    assert sp.cost(loaded.model).nonzero_params == record["results"]["achieved"]["nonzero_parameters"]
    assert record["arguments"]["ratio"] == 0.5
    assert record["arguments"]["seed"] == 0

    before = contents(tmp_path)
    code, out, _ = call(capsys, *QUICK, "--output", "p", "--json")  # the same: nothing is done
    assert (code, json.loads(out)) == (0, record)
    code, out, error = call(capsys, "prune", MODEL, "--ratio", "0.6", "--output", "p")
    assert (code, out) == (1, "")
    assert "p.safetensors is there already, of another command" in error
    assert contents(tmp_path) == before
    assert call(capsys, "prune", "p.safetensors", "--ratio", "0.4", "-o", "q")[0] == 1  # it has lost more already
    assert call(capsys, "prune", "p.safetensors", "--ratio", "0.6", "--no-repair", "-o", "q", "-q")[:2] == (0, "")
    twice = load_model("q.safetensors")
    assert twice.pruned["dense_sha256"] == record["model"]["sha256"]
    zero = {name: parameter == 0 for name, parameter in loaded.model.named_parameters()}
    assert all(bool((twice.model.get_parameter(name) == 0)[mask].all()) for name, mask in zero.items())
    assert call(capsys, "prune", MODEL, "--ratio", "0.6", "--no-repair", "-o", "p.safetensors", "--force")[0] == 0
    assert load_model("p.safetensors").pruned["ratio"] == pytest.approx(0.6, abs=1e-4)


def test_what_was_pruned_twice_is_counted_from_the_dense_model(capsys):
    assert call(capsys, "prune", MODEL, "--target-macs", "60%", "--structured", "--no-repair", "-o", "s")[0] == 0
    assert call(capsys, "prune", "s.safetensors", "--ratio", "0.5", "--no-repair", "-o", "ss")[0] == 0
    loaded, cut = load_model("ss.safetensors"), records.read("ss.json")
    dense, left = sp.cost(sp.load_lite(MODEL)), sp.cost(loaded.model)
    top1, about = {"percent": 70.0, "half": 3.0}, records.described(loaded)
    measured = records.record("evaluate", {}, {"images": 9, "top1": top1, "against": None}, about)
    for given in ([measured], [cut], [cut, cut, measured]):  # the file and the record say the same
        (group,) = page_data(given)["groups"]
        (series,) = group["series"]
        (point,) = series["points"]
        assert (group["dense"]["parameters"], group["dense"]["macs"]) == (dense.params, dense.macs)
        assert (point["parameters"], point["macs"]) == (left.nonzero_params, left.nonzero_macs)
        assert (point["of"], point["stages"]) == ("macs", None)
        assert point["ratio"] == pytest.approx(1 - left.nonzero_macs / dense.macs)
        assert (series["method"], series["structured"]) == ("structured → dimap", True)
    assert tuning.job_of(tuning.Asked("s.safetensors", "lite")).unheld == tuning.SMALLER
    assert "ss.safetensors was written by swinprune" in call(capsys, "audit", "ss.safetensors")[2]


def test_structured_is_recommended_only_where_groups_can_leave():
    loaded = Loaded(timm.create_model("pvt_v2_b0").eval(), "p", "p", "0" * 64, (32, 32), 1000)
    assert prune(loaded, Asked(ratio=0.5), dry=True).results["advice"] == ZEROS + NO_GROUPS


def test_a_file_of_half_precision_says_what_it_holds(capsys):
    assert call(capsys, *QUICK, "--dtype", "bfloat16", "-o", "h", "-q")[0] == 0
    achieved = records.read("h.json")["results"]["achieved"]
    left = sp.cost(load_model("h.safetensors").model)
    assert (left.nonzero_params, left.nonzero_macs) == (achieved["nonzero_parameters"], achieved["nonzero_macs"])


def test_parameters_are_met_from_below_though_groups_round():
    loaded = load_model(MODEL)
    for wanted in (103_329, 123_327, 183_321):  # missed where each group rounds once
        found = prune(loaded, Asked(target_params=str(wanted), method="uniform"), dry=True)
        assert wanted - 50 <= found.results["achieved"]["nonzero_parameters"] <= wanted


def test_what_has_nothing_to_prune_says_so_whatever_the_target():
    model = timm.create_model("test_resnet").eval()
    for target in ({"ratio": 0.5}, {"target_macs": "70%"}, {"target_params": "70%"}):
        with pytest.raises(ValueError, match="ResNet has nothing to prune"):
            prune(Loaded(model, "r", "test_resnet", "", (160, 160), 1000), Asked(**target))


def test_nothing_asked_is_called_so():
    assert prune(load_model(MODEL), Asked(ratio=0.0)).results["advice"].startswith("Nothing was asked to leave")


def test_others_files_are_left_alone(tmp_path, monkeypatch, capsys):
    (tmp_path / "p.json").write_text("{}")
    code, _, error = call(capsys, *QUICK, "-o", "p")
    assert (code, "p.json is there already and is no record of `swinprune prune`" in error) == (1, True)
    assert contents(tmp_path) == {"p.json": b"{}"}
    (tmp_path / "e.json").touch()  # by a shell, for `--json > e.json`
    records.claim("e.json", "prune")
    (tmp_path / "e.json").unlink()
    own = keeping.keep

    def keep(*arguments):  # another run is faster
        own(*arguments)
        (tmp_path / "q.safetensors").write_bytes(b"another")
        (tmp_path / "q.json").write_bytes(b"another's")

    monkeypatch.setattr(keeping, "keep", keep)
    code, _, error = call(capsys, *QUICK, "-o", "q")
    assert (code, "q.safetensors is there already" in error) == (1, True)
    assert contents(tmp_path) == {"p.json": b"{}", "q.safetensors": b"another", "q.json": b"another's"}


def test_a_folder_gets_names_by_what_was_asked(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    assert call(capsys, *QUICK, "-o", "out")[0] == 0
    assert set(contents(tmp_path / "out")) == {f"{MODEL}-dimap-0.5.safetensors", f"{MODEL}-dimap-0.5.json"}


STOP, FULL = KeyboardInterrupt(), OSError(28, "No space left on device", "p")


@pytest.mark.parametrize(
    ("point", "error"), [("make_masks", STOP), ("_cut", STOP), ("stages_lost", FULL), ("keep", FULL), ("write", STOP)]
)
def test_stopped_anywhere_it_leaves_what_was_there(point, error, tmp_path, monkeypatch, capsys):
    (tmp_path / "p.txt").write_text("of someone else")
    place = {"make_masks": "targets", "keep": "keeping", "write": "records"}.get(point, "pruned")
    with monkeypatch.context() as patch:

        def stop(*_, **__):
            raise error

        patch.setattr(f"swinprune_lite.shell.{place}.{point}", stop)
        code, out, said = call(capsys, *QUICK, "-o", "p")
    assert (code, out, len(said.splitlines())) == (130 if isinstance(error, KeyboardInterrupt) else 1, "", 1)
    assert contents(tmp_path) == {"p.txt": b"of someone else"}


def test_a_full_disk(tmp_path, capsys):
    """Of which a limit to the size of a file is a stand-in."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
        code, _, error = call(capsys, *QUICK, "-o", "p")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert (code, error) == (1, "p.safetensors cannot be written (File too large); make room, or give another place.\n")
    assert contents(tmp_path) == {}


def test_killed_while_it_writes_and_run_again(tmp_path, capsys):
    process = forked.Forked(["-m", "swinprune_lite", *QUICK, "-o", "p"], cwd=tmp_path)
    deadline = time.monotonic() + 120
    while not any(path.name.startswith(".p.safetensors") for path in tmp_path.iterdir()):
        assert process.poll() is None, process.said()
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    assert not (tmp_path / "p.safetensors").exists()
    assert call(capsys, *QUICK, "-o", "p")[0] == 0
    load_model("p.safetensors")


def test_a_request_to_end_is_an_interrupt(tmp_path, monkeypatch, capsys):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("swinprune_lite.shell.keeping.keep", lambda *_: signal.raise_signal(signal.SIGTERM))
    code, _, error = call(capsys, *QUICK, "-o", "p")
    assert code == 130
    assert error.startswith("Interrupted; what was there before is as it was")
    assert contents(tmp_path) == {}
    assert signal.getsignal(signal.SIGTERM) is before


def test_images_that_calibrate(tmp_path, capsys):
    generator = np.random.default_rng(0)
    (tmp_path / "images" / "deep").mkdir(parents=True)
    for index in range(6):
        pixels = generator.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / ("deep" if index % 2 else "") / f"{index}.png")
    images = ("--calibrate", "images", "--images", "4")
    code, out, _ = call(capsys, *QUICK, "--criterion", "wanda", *images, "--json", "-o", "p")
    assert code == 0
    found = json.loads(out)["results"]
    assert found["calibration"]["images"] == 4
    assert found["method"] == "dimap, criterion wanda"
    first = load_model("p.safetensors").pruned["calibration"]["digest"]
    again = ("prune", MODEL, "--ratio", "0.5", "--structured", *images, "--json", "--dry-run")
    assert json.loads(call(capsys, *again)[1])["results"]["calibration"]["digest"] == first
    assert json.loads(call(capsys, *again, "--seed", "1")[1])["results"]["calibration"]["digest"] != first
    assert "holds 6 images and 64 are asked for" in call(capsys, *QUICK, "--calibrate", "images")[2]
    for index in range(6):
        (tmp_path / "images" / ("deep" if index % 2 else "") / f"{index}.png").write_bytes(b"no image")
    assert "is not a whole image" in call(capsys, *QUICK, *images, "-o", "r")[2]
    assert not (tmp_path / "r.safetensors").exists()
