"""Probes: they find what is there and nothing else, and no episode is on both sides."""

import json

import numpy as np
import pytest
import torch
from sprites import VARIABLES, make_sprites

from wsabench.encoders import Calibration, EncoderBank, LoadedEncoder, build_encoder, measure_standardisation
from wsabench.errors import CheckpointError, SpecError, UnknownNameError
from wsabench.training.frames.collection import Collection, collect_frames
from wsabench.training.pretraining.pretrain import pretrain
from wsabench.training.probing.data import decode, draw_samples, probe_targets, split_by_episode
from wsabench.training.probing.fit import PENALTIES, logistic_score, principal_features, ridge_score
from wsabench.training.probing.probe import _contestants, compare_with_twins, probe

STACK = torch.zeros(2, 4, 84, 84, dtype=torch.uint8)


def draws(count=900, features=60, seed=0):
    rng = np.random.default_rng(seed)
    return rng, rng.normal(size=(count, features)).astype(np.float32)


def parts(values):
    return values[:500], values[500:700], values[700:]


def test_ridge_recovers_a_linear_variable_and_nothing_from_noise():
    rng, x = draws()
    linear = x @ rng.normal(size=60) + 5
    targets = np.stack([linear, rng.normal(size=900)], axis=1)
    scores = ridge_score(principal_features(*parts(x)), *parts(targets))
    assert scores[0] > 0.999
    assert abs(scores[1]) < 0.1


def test_ridge_equals_the_textbook_solution():
    rng, x = draws(features=30)
    y = (x @ rng.normal(size=30) + rng.normal(size=900))[:, None]
    train, validation, test = parts(x)
    mean = train.mean(0)
    length = np.square(train - mean).sum(1).mean()
    fitted = []
    for penalty in PENALTIES:
        centred = (train - mean) / np.sqrt(length)
        weights = np.linalg.solve(centred.T @ centred + penalty * np.eye(30), centred.T @ (y[:500] - y[:500].mean()))
        errors = [
            1
            - np.square((part - mean) / np.sqrt(length) @ weights + y[:500].mean() - actual).sum()
            / np.square(actual - actual.mean()).sum()
            for part, actual in ((validation, y[500:700]), (test, y[700:]))
        ]
        fitted.append(errors)
    best = max(fitted, key=lambda pair: pair[0])[1]
    assert ridge_score(principal_features(*parts(x)), *parts(y))[0] == pytest.approx(best, abs=1e-3)


def test_principal_features_keep_inner_products():
    _, x = draws(features=2_000)
    features = principal_features(*parts(x))
    train, validation, _ = (part - x[:500].mean(0) for part in parts(x))
    scale = np.square(train).sum(1).mean()
    assert np.allclose(features.validation @ features.train.T, validation @ train.T / scale, atol=1e-4)
    assert np.square(features.train).sum(1).mean() == pytest.approx(1.0, abs=1e-4)


def test_features_that_never_change_score_zero():
    x = np.ones((900, 20), np.float32)
    features = principal_features(*parts(x))
    y = np.random.default_rng(0).normal(size=(900, 1))
    assert ridge_score(features, *parts(y))[0] == pytest.approx(0.0, abs=0.05)


def test_logistic_separates_classes_and_scores_zero_on_noise():
    rng, x = draws()
    classes = (x[:, :3] @ np.array([[2.0, 0, -2], [0, 2, -2], [1, -1, 0]])).argmax(1)
    features = principal_features(*parts(x))
    assert logistic_score(features, *parts(classes)) > 0.7
    assert abs(logistic_score(features, *parts(rng.integers(0, 3, 900)))) < 0.15


def test_a_class_missing_in_training_is_no_error():
    _, x = draws()
    classes = (x[:, 0] > 0).astype(np.int64)
    classes[-1] = 2
    assert logistic_score(principal_features(*parts(x)), *parts(classes)) > 0.5


def test_episodes_never_straddle_the_split():
    episodes = np.repeat(np.arange(40), 7).astype(np.int32)
    split = split_by_episode(episodes, seed=3)
    assert {name: len(set(episodes[rows])) for name, rows in split.items()} == {
        "train": 18,
        "validation": 6,
        "test": 16,
    }
    assert sorted(np.concatenate(list(split.values()))) == list(range(280))
    for name, rows in split.items():
        others = np.concatenate([episodes[other] for key, other in split.items() if key != name])
        assert not set(episodes[rows]) & set(others)
    again, other = split_by_episode(episodes, seed=3), split_by_episode(episodes, seed=4)
    assert np.array_equal(split["test"], again["test"])
    assert not np.array_equal(split["test"], other["test"])


@pytest.mark.parametrize(("count", "fine"), [(9, False), (10, True)])
def test_too_few_episodes(count, fine):
    episodes = np.arange(count).astype(np.int32)
    if fine:
        assert len(split_by_episode(episodes, 0)["train"]) == 4
        return
    with pytest.raises(SpecError, match=r"9 episodes. Probes need at least 10"):
        split_by_episode(episodes, 0)


@pytest.mark.parametrize(
    ("encoding", "byte", "number"),
    [
        ("raw", 200, 200),
        ("signed", 254, -2),
        ("bcd", 0x47, 47),
        ("bcd (low nibble = hundreds)", 3, 3),
        ("bit 7", 0x80, 1),
        ("bit 3", 0x07, 0),
        ("bitfield", 0b1011, 3),
        ("palette index", 70, 70),
    ],
)
def test_encodings(encoding, byte, number):
    assert decode(np.array([byte], np.uint8), encoding)[0] == number


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Encoders of a few steps, and the environment they are in."""
    folder = tmp_path_factory.mktemp("probe")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WSABENCH_HOME", str(folder / "home"))
        pretrain("breakout", folder / "out", frames=120, steps={"ae": 2, "transporter": 1}, make_source=make_sprites)
        options = {"directory": folder / "out", "make_source": make_sprites, "variables": VARIABLES, "frames": 1_500}
        table = probe("breakout", ["ae", "okk"], samples=600, twins=2, **options)
        yield table, lambda *names, **more: probe("breakout", names, **(options | more))


def test_targets_are_the_verified_variables_that_change(tmp_path):
    store = collect_frames(Collection("sprites", 1_000), tmp_path / "store", make_source=make_sprites)
    targets, constant = probe_targets(VARIABLES, draw_samples(store, 400, seed=0))
    kinds = {target.name: target.kind for target in targets}
    assert kinds == {"x": "number", "y": "number", "noise": "number", "side": "classes"}
    assert constant == ["constant"]


def test_the_table_has_every_contestant_and_variable(trained):
    table, _ = trained
    assert list(table.columns) == ["contestant", "twin", "variable", "kind", "score"]
    assert table.groupby(["contestant", "twin"], dropna=False).size().to_dict().values().__len__() == 7
    assert set(table.variable) == {"x", "y", "noise", "side", "mean"}
    assert table.attrs["constant"] == ["constant"]
    assert set(table.attrs["hashes"]) == {"ae", "okk"}


def test_pixels_tell_the_place_and_not_the_noise(trained):
    table, _ = trained
    pixels = table[table.contestant == "pixels"].set_index("variable").score
    assert pixels["x"] > 0.4
    assert pixels["side"] > 0.4
    assert pixels["noise"] < 0.1
    expected = np.mean([min(1, max(0, pixels[name])) for name in ("x", "y", "noise", "side")])
    assert pixels["mean"] == pytest.approx(expected)


def test_the_comparison_is_drawn_from_the_table(trained):
    table, _ = trained
    means = table[(table.variable == "mean") & (table.contestant == "ae")].set_index("twin").score
    row = compare_with_twins(table).loc["ae"]
    assert row.best_twin == max(means[0], means[1])
    assert row.twins == pytest.approx((means[0] + means[1]) / 2)
    assert row.beats_twins == (row.pretrained > row.best_twin)


def test_probe_refuses_bad_input(trained):
    _, go = trained
    with pytest.raises(UnknownNameError, match=r"Unknown encoder 'aee'. Did you mean 'ae'"):
        go("aee")
    with pytest.raises(SpecError, match="9000 probe samples were asked for"):
        go("ae", samples=9_000)
    with pytest.raises(SpecError, match="No verified RAM variable of 'breakout' changes"):
        go("ae", samples=600, variables={"constant": VARIABLES["constant"]})
    with pytest.raises(SpecError, match=r"the catalogue has none\. Found: guessed \(annotated\)"):
        go("ae", variables={"guessed": VARIABLES["guessed"]})


def test_what_was_scored_once_is_read_again(trained, monkeypatch):
    table, go = trained

    def refuse(*_args):
        raise AssertionError("scored again")

    monkeypatch.setattr("wsabench.training.probing.probe._scores", refuse)
    again = go("ae", "okk", samples=600, twins=2)
    assert again.equals(table)
    assert again.attrs == table.attrs
    with pytest.raises(AssertionError, match="scored again"):
        go("ae", samples=601, twins=2)
    with pytest.raises(AssertionError, match="scored again"):
        go("ae", samples=600, twins=3)


def test_all_encoders_of_the_folder_are_probed_unless_named(trained):
    _, go = trained
    assert set(go(samples=600, twins=0).contestant) == {"pixels", "ae", "oke", "okk"}


def test_sizes_are_not_mixed(trained):
    _, go = trained
    with pytest.raises(CheckpointError, match=r"ae\.safetensors holds size 'compact', not 'paper'"):
        go("ae", size="paper", samples=600)
    with pytest.raises(UnknownNameError, match=r"Unknown encoder size 'papr'. Did you mean 'paper'"):
        go("ae", size="papr", samples=600)


def test_twins_have_the_options_of_the_encoders():
    former = {"output": "gaussians", "gaussian": "half"}
    chosen, identities = [], []
    with pytest.MonkeyPatch.context() as patch:
        for options in (former, {"output": "map", "gaussian": "full"}):
            encoder = build_encoder("okk", 0, options=options)
            item = LoadedEncoder(encoder, measure_standardisation(encoder, STACK), {"size": "compact"}, "0")
            patch.setattr(EncoderBank, "random", lambda *_args, options, **_other: chosen.append(options))
            twin = list(_contestants("breakout", {"okk": item}, None, 0, 1))[-1]
            twin.load(Calibration(STACK))
            identities.append(json.dumps(twin.identity))
    assert chosen == [{"okk": former}, {"okk": {"output": "map", "gaussian": "full"}}]
    assert identities[0] != identities[1], "one's scores would be read for the other"


def test_twins_have_the_size_of_the_encoders(trained, tmp_path):
    _, go = trained
    pretrain("breakout", tmp_path, frames=120, steps={"ae": 1}, size="paper", make_source=make_sprites)
    shapes = []
    with pytest.MonkeyPatch.context() as patch:
        original = EncoderBank.embed

        def embed(self, stack, only=None, inputs=None):
            shapes.append(self.shapes["ae"])
            return original(self, stack, only)

        patch.setattr(EncoderBank, "embed", embed)
        table = go("ae", directory=tmp_path, size="paper", samples=600, twins=1)
    assert set(shapes) == {(64, 16, 16)}
    assert table.attrs["size"] == "paper"
    assert table.groupby(["contestant", "twin"], dropna=False).ngroups == 3
