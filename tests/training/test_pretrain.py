"""Pre-training: losses fall, a killed run continues to the same weights, files are written."""

import contextlib
import csv
import resource

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from sprites import make_sprites

from wsabench.encoders import ENCODERS, PRETEXTS, SIZES, EncoderBank, build_pretext, load_encoder
from wsabench.encoders.pretrained.ae import AutoencoderPretext
from wsabench.encoders.pretrained.vos import NUM_MOVING, change_maps, frame_pair
from wsabench.errors import CheckpointError, SpecError, StorageError, UnknownNameError
from wsabench.progress import SilentReporter
from wsabench.training.frames.collection import Collection, collect_frames
from wsabench.training.pretraining import loop as pretrain_loop
from wsabench.training.pretraining.loop import draw_batch, load_stage, mean_frame, save_stage, start_stage, train_stage
from wsabench.training.pretraining.pretrain import STAGE_STEPS, pretrain, usual_steps

STEPS = {"ae": 5, "sr": 1, "transporter": 2, "vos": 1, "vit": 1}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("frames") / "store"
    return collect_frames(Collection("sprites", 1_200), path, make_source=make_sprites)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("WSABENCH_HOME", str(tmp_path / "home"))


def run(store, checkpoint, name, num_steps, state=None):
    state = state or start_stage(build_pretext(name, seed=1))
    train_stage(state, store, num_steps, seed=0, checkpoint=checkpoint, reporter=SilentReporter())
    return state


@pytest.fixture
def short_rows(monkeypatch):
    monkeypatch.setattr(pretrain_loop, "LOG_STEPS", 2)


@pytest.mark.usefixtures("short_rows")
def test_the_curve_averages_some_steps_and_falls(store, tmp_path, monkeypatch):
    losses = []
    original = AutoencoderPretext.loss

    def loss(self, batch, step):
        parts = original(self, batch, step)
        losses.append((step, parts["loss"].detach().item()))
        return parts

    monkeypatch.setattr(AutoencoderPretext, "loss", loss)
    curve = run(store, tmp_path / "checkpoint", "ae", 5).curve
    assert [row["step"] for row in curve] == [2, 4, 5]
    assert [step for step, _ in losses] == list(range(5))
    means = [np.mean([value for _, value in losses[part]]) for part in (slice(0, 2), slice(2, 4), slice(4, 5))]
    assert [row["loss"] for row in curve] == pytest.approx(means, rel=1e-6)
    assert means[2] < means[1] < means[0]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_keypoints_land_on_the_sprites(store, tmp_path):
    state = run(store, tmp_path / "checkpoint", "transporter", 600)
    assert state.curve[-1]["loss"] < 0.5 * state.curve[0]["loss"]
    index = store.positions()[::5]
    newest = torch.from_numpy(store.stacks(index)[:, -1:]).float() / 255
    state.pretext.eval()
    with torch.inference_mode():
        points = state.pretext.keynet.keypoints(newest).numpy()
    places = store.ram[index][:, [1, 0]].astype(float)
    correlations = [
        min(abs(np.corrcoef(points[:, k, axis], places[:, axis])[0, 1]) for axis in range(2)) for k in range(4)
    ]
    assert max(correlations) > 0.9


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_segmentation_explains_motion_by_masks_of_what_moves(store, tmp_path):
    state = run(store, tmp_path / "checkpoint", "vos", 400)
    assert state.curve[-1]["loss"] < 0.9 * state.curve[0]["loss"]
    assert state.curve[-1]["dssim"] < 0.9 * state.curve[0]["dssim"]
    encoder = state.pretext.encoders()[0].eval()
    stacks = torch.from_numpy(store.stacks(store.positions()[::5])).float() / 255
    with torch.inference_mode():
        masks = encoder(stacks)[:, :NUM_MOVING].sum(1)
    moved = change_maps(*frame_pair(stacks)).amax(1)
    inside, outside = masks[moved > 0.9].mean(), masks[moved < 0.01].mean()
    assert inside > 0.5
    assert inside > 5 * outside


@pytest.mark.parametrize("name", list(PRETEXTS))
def test_a_killed_stage_continues_to_the_same_weights(store, tmp_path, monkeypatch, name):
    monkeypatch.setattr(pretrain_loop, "LOG_STEPS", 2)
    monkeypatch.setattr(PRETEXTS[name], "batch_size", 4)
    whole = run(store, tmp_path / "whole", name, 3)
    run(store, tmp_path / "killed", name, 2)
    state = start_stage(build_pretext(name, seed=55))
    load_stage(tmp_path / "killed", state)
    assert state.step == 2
    resumed = run(store, tmp_path / "killed", name, 3, state)
    for key, value in whole.pretext.state_dict().items():
        assert torch.equal(value, resumed.pretext.state_dict()[key]), key
    for row, other in zip(whole.curve, resumed.curve, strict=True):
        assert {**row, "seconds": 0} == {**other, "seconds": 0}


def test_checkpoints_are_written_while_training(store, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain_loop, "LOG_STEPS", 2)
    monkeypatch.setattr(pretrain_loop, "CHECKPOINT_SECONDS", 0.0)
    steps = []
    monkeypatch.setattr(pretrain_loop, "save_stage", lambda _path, state: steps.append(state.step))
    run(store, tmp_path / "checkpoint", "ae", 5)
    assert steps == [2, 4, 5]


def test_the_global_generator_is_left_alone(store, tmp_path):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    run(store, tmp_path / "checkpoint", "ae", 2)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_batches_are_pairs_of_one_episode(store):
    pretext = build_pretext("transporter", seed=0)
    positions = store.positions(pretext.offsets[1])
    batch = draw_batch(store, positions, pretext, np.random.default_rng(0))
    frames = np.array(store.frames)
    places = {frame.tobytes(): place for place, frame in reversed(list(enumerate(frames)))}
    for first, second in zip(batch.first, batch.second, strict=True):
        at, later = (places[(255 * stack[-1]).round().byte().numpy().tobytes()] for stack in (first, second))
        for place, stack in ((at, first), (later, second)):
            assert torch.equal(stack[-1], torch.from_numpy(frames[place]).float() / 255)
        assert 1 <= later - at <= 20
        assert store.episodes[at] == store.episodes[later]
    assert float(mean_frame(store).max()) <= 255


def test_batches_bring_the_draws_that_their_stage_asks_for(store):
    few, many = build_pretext("ae", seed=0), build_pretext("vit", seed=0)
    batches = [draw_batch(store, store.positions(1), stage, np.random.default_rng(3)) for stage in (few, many, many)]
    assert [tuple(batch.draws.shape) for batch in batches] == [(32, 0), (32, 49), (32, 49)]
    assert torch.equal(batches[0].first, batches[1].first)
    assert torch.equal(batches[1].draws, batches[2].draws)
    assert 0 <= float(batches[1].draws.min()) < float(batches[1].draws.max()) < 1


def test_stages_beyond_the_paper_s_are_trained_on_request():
    for size in SIZES:
        assert list(usual_steps(size)) == ["ae", "sr", "transporter", "vos"]
        assert usual_steps(size, ["vit", "ae"]) == {name: STAGE_STEPS[size][name] for name in ("ae", "vit")}
        assert list(STAGE_STEPS[size]) == list(PRETEXTS)
    with pytest.raises(UnknownNameError, match=r"Unknown pre-training stage 'vti'. Did you mean 'vit'"):
        usual_steps("compact", ["vti"])


def test_foreign_and_damaged_checkpoints_are_named(store, tmp_path):
    path = tmp_path / "ae.safetensors"
    save_stage(path, run(store, tmp_path / "x", "ae", 2))
    with pytest.raises(CheckpointError, match=r"not a checkpoint of the stage sr. Delete it"):
        load_stage(path, start_stage(build_pretext("sr", seed=0)))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match=r"damaged.*Delete it"):
        load_stage(path, start_stage(build_pretext("ae", seed=0)))


@pytest.mark.usefixtures("short_rows")
def test_pretrain_writes_every_encoder_and_curve(tmp_path, monkeypatch):
    for stage in PRETEXTS.values():
        monkeypatch.setattr(stage, "batch_size", 4)
    result = pretrain("breakout", tmp_path / "out", frames=120, steps=STEPS, make_source=make_sprites)
    assert set(result.encoders) == {"ae", "sr", "oke", "okk", "vos", "vit"}
    assert set(result.curves) == set(STEPS)
    bank = EncoderBank.load("breakout", directory=tmp_path / "out")
    assert bank.source == "pretrained"
    metadata = load_encoder(result.encoders["okk"]).metadata
    assert (metadata["steps"], metadata["frames"], metadata["seed"], metadata["game"]) == ("2", "120", "0", "breakout")
    assert (metadata["size"], metadata["data"], metadata["device"]) == ("compact", "random", "cpu")
    assert not {"expert", "expert_hash"} & set(metadata)
    rows = list(csv.DictReader(result.curves["ae"].open()))
    assert [row["step"] for row in rows] == ["2", "4", "5"]
    assert sum(path.stat().st_size for path in result.encoders.values()) < 4 * 2**20


@pytest.mark.usefixtures("short_rows")
def test_a_second_run_continues_and_a_fresh_one_agrees(tmp_path):
    def go(out, steps, **options):
        result = pretrain("breakout", tmp_path / out, frames=100, steps=steps, make_source=make_sprites, **options)
        return result.encoders["ae"].read_bytes()

    whole = go("a", {"ae": 3})
    go("b", {"ae": 2}, resume=False)
    continued = go("b", {"ae": 3})
    assert whole == continued


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"steps": {"ea": 3}}, UnknownNameError, "Unknown pre-training stage 'ea'. Did you mean 'ae'"),
        ({"steps": {"ae": 0}}, SpecError, "steps of the stage ae are 0. Allowed: integers from 1"),
        ({"size": "compct"}, UnknownNameError, "Unknown encoder size 'compct'. Did you mean 'compact'"),
        ({"frames": 3}, SpecError, "number of frames is 3"),
        ({"device": "gpu"}, SpecError, "The device is 'gpu'. Allowed: cpu, cuda, cuda:N, auto"),
        ({"data": "expret"}, UnknownNameError, "Unknown kind of pre-training data 'expret'. Did you mean 'expert'"),
        ({"data": "mixed", "expert": "e3e"}, UnknownNameError, "Unknown agent 'e3e'. Did you mean 'e2e'"),
    ],
)
def test_bad_input_stops_before_the_first_frame(options, error, message):
    with pytest.raises(error, match=message):
        pretrain("breakout", make_source=make_sprites, **options)


def test_an_unknown_game_is_named():
    with pytest.raises(UnknownNameError, match=r"Did you mean 'breakout'"):
        pretrain("brekout", frames=100)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_missing_cuda_device_is_named():
    with pytest.raises(SpecError, match=r"device 'cuda' is not available: torch .* sees no CUDA GPUs"):
        pretrain("breakout", frames=100, device="cuda", make_source=make_sprites)


def headers(result):
    return {name: load_encoder(path).metadata for name, path in result.encoders.items()}


def test_sizes_and_data_have_places_of_their_own_and_share_frames(tmp_path):
    options = {"frames": 100, "steps": {"ae": 1}, "make_source": make_sprites}
    results = {
        (size, data): pretrain("breakout", size=size, data=data, **options)
        for size in ("compact", "paper")
        for data in ("random", "mixed")
    }
    home = tmp_path / "home"
    folders = [result.encoders["ae"].parent.relative_to(home).as_posix() for result in results.values()]
    assert folders == [f"encoders/breakout{end}" for end in ("", "-mixed", "-paper", "-paper-mixed")]
    assert len(list((home / "pretraining").glob("*/ae.safetensors"))) == 4
    assert len(list((home / "frames").iterdir())) == 2
    for (size, data), result in results.items():
        header = headers(result)["ae"]
        assert (header["size"], header["data"], header["steps"]) == (size, data, "1")
        assert header.get("expert") == (None if data == "random" else "e2e-seed0")
        assert len(header.get("expert_hash", "")) == (0 if data == "random" else 64)
        assert load_encoder(result.encoders["ae"]).encoder.shape[0] == (16 if size == "compact" else 64)
    hashes = [headers(result)["ae"]["frames_hash"] for result in results.values()]
    assert hashes[0] == hashes[2] != hashes[1] == hashes[3]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_paper_size_pretrains_every_encoder(tmp_path):
    steps = dict.fromkeys(PRETEXTS, 2)
    result = pretrain("breakout", tmp_path / "out", frames=300, size="paper", steps=steps, make_source=make_sprites)
    assert {name: header["size"] for name, header in headers(result).items()} == dict.fromkeys(ENCODERS, "paper")
    bank = EncoderBank.load("breakout", directory=tmp_path / "out")
    embeddings = bank.embed(torch.zeros(2, 4, 84, 84, dtype=torch.uint8))
    assert {name: tuple(value.shape[1:]) for name, value in embeddings.items()} == bank.shapes
    assert bank.shapes["vos"] == (20, 84, 84)


def test_a_stage_of_another_size_is_not_continued(store, tmp_path):
    path = tmp_path / "ae.safetensors"
    save_stage(path, start_stage(build_pretext("ae", seed=0)))
    with pytest.raises(CheckpointError, match=r"another shape than the stage ae of this size. Delete it"):
        load_stage(path, start_stage(build_pretext("ae", seed=0, size="paper")))


@pytest.mark.parametrize("size", SIZES)
def test_a_stage_whose_encoders_had_other_options_is_not_continued(size, tmp_path):
    path = tmp_path / "transporter.safetensors"
    state = start_stage(build_pretext("transporter", seed=0, size=size))
    save_stage(path, state)
    load_stage(path, state)
    with safe_open(path, "pt") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    of_before = {key: value for key, value in metadata.items() if key != "options"}
    for changed in (of_before, metadata | {"options": metadata["options"].replace("full", "half")}):
        save_file(tensors, path, changed)
        with pytest.raises(
            CheckpointError, match=r"other options of its encoders, .*\"full\".* are asked for. Delete it"
        ):
            load_stage(path, state)


def test_the_step_size_follows_the_stage_s_schedule(store, tmp_path, monkeypatch):
    monkeypatch.setattr(AutoencoderPretext, "learning_rate_at", lambda _self, step: 1e-3 / (1 + step))
    rates = []
    original = torch.optim.Adam.step

    def step(self, *args, **options):
        rates.append(self.param_groups[0]["lr"])
        return original(self, *args, **options)

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    state = run(store, tmp_path / "checkpoint", "ae", 2)
    run(store, tmp_path / "checkpoint", "ae", 3, state)
    assert rates == pytest.approx([1e-3, 1e-3 / 2, 1e-3 / 3])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", list(PRETEXTS))
def test_losses_stay_on_the_device_of_their_batch(store, monkeypatch, name, size):
    # Operations refuse to mix a tensor of the CPU with one of the device `meta`, which stands in for a GPU here.
    monkeypatch.setattr(torch, "autocast", lambda *_args, **_options: contextlib.nullcontext())
    device = torch.device("meta")
    pretext = build_pretext(name, seed=0, size=size).to(device)
    batch = draw_batch(store, store.positions(20), pretext, np.random.default_rng(0), device)
    losses = pretext.loss(batch, 3)
    losses["loss"].backward()
    assert {value.device for value in losses.values()} == {device}
    assert {p.grad.device for p in pretext.parameters() if p.grad is not None} == {device}


def test_a_full_disk_is_said_and_the_stage_of_before_is_kept(tmp_path):
    path = tmp_path / "ae.safetensors"
    state = start_stage(build_pretext("ae", seed=0))
    save_stage(path, state)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))  # as a disk with 10 kB left
    try:
        with pytest.raises(StorageError, match=r"Cannot write .*ae\.safetensors: .*File too large.*Free space"):
            save_stage(path, state)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["ae.safetensors"]
