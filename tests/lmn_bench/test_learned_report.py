"""What reports say of trainings: sentences, tables, charts, data, plans."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from dataclasses import replace

import pytest
from bench_helpers import environment
from learned_helpers import (
    LEARNING,
    OTHER_SHA,
    TASKS,
    TEXTS,
    diverged,
    group,
    learned_run,
    lesson_case,
    trained,
)
from rich.console import Console

from lmn_bench.lessons import Budget
from lmn_bench.plan import plan
from lmn_bench.report.build import build_overlay, build_report
from lmn_bench.report.charts.draw import panel_specs, picture_spec
from lmn_bench.report.inspect import inspect_cases, inspect_run
from lmn_bench.report.learned.published import published_setting
from lmn_bench.report.markdown import render_markdown
from lmn_bench.report.page import csv_of, document_of, json_of, page_of
from lmn_bench.report.planned import plan_document
from lmn_bench.report.text import render_document
from lmn_bench.safe import script_json
from lmn_bench.schema import ModelSpec, Outcome, Record

OTHER = replace(LEARNING, corpus_name="plays", corpus_sha256=OTHER_SHA)
NOT_OF_TRAININGS = ("process", "timeout", "median over", "prefill", "decode")


def document(records, learning=LEARNING):
    return document_of([learned_run(records, learning)])


def said(records, learning=LEARNING):
    return " ".join(document(records, learning).answers)


def table(document, caption):
    found = [t for section in document.sections for t in section.tables if t.caption == caption]
    return found[0]


def shown(document, width):
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(render_document(document, console))
    return console.file.getvalue()


def test_a_text_is_answered_with_the_best_model_and_both_transformers():
    words = said(TEXTS)
    assert (
        "python-docs: the lowest mean validation loss is lstm's, 2.100 ± 0.035 nats per token "
        "(3 seeds), lmn 2.296 ± 0.025 after 1,000 steps; that it learned better than gru is not "
        "shown." in words
    )
    assert "lmn learned worse than the transformer with rotary positions: 0.076 ± 0.047" in words
    assert "the transformer with learned positions cannot be told (the interval holds 0)" in words
    assert "perplexity +7.9 %), over 3 paired seeds." in words
    assert "lmn learned better than lmn@published" in words
    assert "Diverged: gru at learning rate 0.003 (1 of 3 trainings)." in words


def test_one_seed_tells_nothing_and_says_so():
    words = said(group({"lmn": 2.3, "transformer": 2.0}, seeds=1))
    assert "cannot be told (no interval): 0.300 nats per token more" in words
    assert "one seed: another may come out otherwise" in words


def test_seeds_in_no_pairs_are_named():
    apart = [trained(lesson_case("transformer"), seed, 2.0 + seed / 100) for seed in (7, 8)]
    words = said([*group({"lmn": 2.3}), *apart])
    assert "3 seeds against 2" in words


@pytest.mark.parametrize(("seeds", "half"), [(2, "0.169"), (3, "0.035")])
def test_with_several_seeds_it_is_told_who_won_and_by_how_much(seeds, half):
    ours, theirs = (2.30, 2.34, 2.31), (2.10, 2.1134, 2.105)
    records = [
        trained(lesson_case(subject, rate=rate), seed, score + 100 * (rate - 1e-3))
        for subject, scores in (("lmn", ours), ("transformer", theirs))
        for rate in (1e-3, 3e-3)
        for seed, score in enumerate(scores[:seeds])
    ]
    (answer,) = [one for one in document(records).answers if "rotary" in one]
    assert answer.startswith("python-docs: lmn learned worse than the transformer with rotary")
    assert f" ± {half} nats per token more" in answer
    assert answer.endswith(f"over {seeds} paired seeds.")
    found = document(records)
    notes = " ".join(t.note for section in found.sections for t in section.tables)
    assert ("one degree of freedom" in notes) == (seeds == 2)
    words = " ".join(text for section in found.sections for text in section.sentences)
    assert "A difference is taken seed by seed" in words


def test_models_that_came_out_the_same_in_every_seed_are_told_so():
    records = [trained(lesson_case(subject, task=task), seed, 1.0)
               for subject in ("lmn", "transformer") for task in ("text", "copy-16")
               for seed in range(2)]  # fmt: skip
    found = document(records)
    assert (
        "python-docs: lmn and the transformer with rotary positions came out the same in every "
        "seed, over 2 paired seeds." in found.answers
    )
    assert "both came out the same in every seed, over 2 paired seeds." in " ".join(found.answers)
    assert table(found, "Validation loss, nats per token").rows[1][4] == "the same"


def test_tasks_are_answered_with_chance_state_and_what_is_solved_and_failed():
    words = said(TASKS)
    assert "mqar-64, chance 0.024%: lmn 12.0% ± 1.2 with a state of 3.75 KiB" in words
    assert (
        "the highest mean of the others: transformer 99.0% ± 1.5 with a state of 64.0 KiB" in words
    )
    assert "lmn is worse: 87.0 ± 2.4 percentage points less, over 3 paired seeds" in words
    assert (
        "grows as log n, lmn failed mqar-64 in 3 of 3 seeds; solved induction-heads-64 in 3 of 3"
        in words
    )
    assert (
        "mqar-64 can be learned within the budget: transformer solved it in 3 of 3 seeds and "
        in words
    )


def test_of_a_task_that_nobody_solves_nothing_is_concluded():
    words = said(group({"lmn": 0.1, "transformer": 0.3}, task="mqar-64"))
    assert (
        "No model solved mqar-64 within the budget, in any seed: that says nothing about the state"
        in words
    )
    assert "failed" not in words


def test_failing_is_measured_from_chance():
    record = trained(lesson_case("lmn", "listops"), 0, 0.7)
    record = replace(record, learned=replace(record.learned, chance=0.6))
    solved = trained(lesson_case("transformer", "listops"), 0, 0.99)
    assert "lmn failed listops in its one seed" in said([record, solved])


def test_settings_of_one_task_are_told_apart_by_what_differs():
    sizes = [trained(lesson_case(task="mqar-64", model=ModelSpec(width=w)), 0, 0.5)
             for w in (16, 32)]  # fmt: skip
    words = said(sizes)
    assert "mqar-64 (width 16)," in words
    assert "mqar-64 (width 32)," in words


def test_the_quality_table_ranks_models_with_their_difference_to_ours():
    found = table(document(TEXTS), "Validation loss, nats per token")
    assert [row[0] for row in found.rows[:2]] == ["lstm", "gru"]
    assert ("transformer", "2.220 ± 0.030", "0.003", "3", "-0.076 ± 0.047 better") in found.rows
    assert "a score's from the model's own seeds" in found.note
    assert "the best of 2 learning rates, chosen by the same validation data" in found.note


@pytest.mark.parametrize("seeds", [2, 3])
def test_a_difference_over_common_seeds_beside_scores_over_all_is_explained(seeds):
    of = lesson_case("transformer")
    records = [*group({"lmn": 2.3}), *(trained(of, k, 2.1 + k / 50) for k in range(seeds))]
    note = table(document(records), "Validation loss, nats per token").note
    assert ("is not that of the two scores" in note) == (seeds == 2)


def test_seeds_of_a_task_that_end_far_apart_are_not_summed_up_in_silence():
    found = document(group({"lmn": 0.5}, 0.4, task="mqar-64"))
    notes = [t.note for section in found.sections for t in section.tables]
    assert any("Seeds differ widely" in note for note in notes)


@pytest.mark.parametrize("width", [80, 140])
@pytest.mark.parametrize("records", [TEXTS, TASKS], ids=["text", "tasks"])
def test_names_of_builtin_models_are_never_broken_in_a_terminal(records, width):
    text = shown(document(records), width)
    assert max(map(len, text.splitlines())) <= width
    rows = [line for line in text.splitlines() if line.startswith(" transformer-learned ")]
    assert len(rows) >= 2
    assert any("±" in row for row in rows)


def test_a_long_name_of_ones_own_model_squeezes_no_column_of_the_scores():
    own = "mypackage.models.sequence:build_hierarchical_model"
    found = document(group({own: 2.3, "transformer-learned": 2.5}))
    text = shown(found, 80)
    assert "2.300 ± 0.025" in text
    assert "+0.200 ± 0.045 worse" in text
    assert f"Difference: against {own}." in " ".join(text.split())


def test_accuracy_at_every_tested_length_is_told():
    found = table(document(TASKS), "Accuracy by length")
    assert found.columns == ("model", "64", "128", "256", "512")
    assert "Each length has 256 examples of its own" in found.note
    assert found.rows[0][0] == "lmn"


def test_the_method_speaks_of_trainings_and_of_nothing_else():
    (method,) = [s for s in document([*TEXTS, *TASKS]).sections if s.title == "Method"]
    words = " ".join(method.sentences)
    assert "python-docs (sha256 2a95af4ac93f…) in characters" in words
    assert "AdamW, constant learning rate of 0.001 and 0.003" in words
    assert "3 trainings of every case, seeds 0 to 2" in words
    assert "first 90 %" in words
    assert not [word for word in NOT_OF_TRAININGS if word in words]


def test_published_settings_stand_beside_ours():
    found = table(document(TASKS), "Published settings and ours")
    assert "100,000 examples × 64 epochs, batch 512" in found.rows[0][1]
    assert "batch 16" in found.rows[0][2]


@pytest.mark.parametrize("task", ["mqar-512", "selective-copying-64", "copy-16", "listops", "copy"])
def test_every_task_has_its_published_settings(task):
    assert published_setting(task).partition(" ")[0] in {"Arora", "Gu", "Jelassi", "Tay"}


def test_a_run_in_which_everything_diverged_is_reported_with_its_reasons():
    bad = [diverged(lesson_case(s), seed) for s in ("lmn", "gru") for seed in range(2)]
    found = document(bad)
    assert "No training ended well (diverged)" in found.answers[0]
    (pointed,) = re.findall("see “(.+)” in the report", found.answers[0])
    assert pointed in [section.title for section in found.sections]
    text = render_markdown(found)
    assert "the loss is nan at step 17" in text
    assert "Diverged is a result" in text


def test_a_run_without_records_is_reported():
    assert "Nothing was learned yet" in document([]).answers[0]


@pytest.mark.parametrize("outcome", [Outcome.KILLED, Outcome.OUT_OF_MEMORY, Outcome.SKIPPED])
def test_other_ends_are_named_too(outcome):
    end = Record.of(lesson_case("gru"), 0, outcome, reason="so it was")
    found = document([*group({"lmn": 2.0}), end])
    text = render_markdown(found)
    assert "so it was" in text
    assert "±" in text


def test_a_task_that_failed_entirely_is_named_with_how_it_ended():
    of = lesson_case("lmn", task="copy-16", length=32)
    ends = [
        Record.of(replace(of, subject=subject), 0, outcome, reason="so it was")
        for subject, outcome in (("lmn", Outcome.ERROR), ("gru", Outcome.OUT_OF_MEMORY))
    ]
    found = document([*ends, *group({"lmn": 0.99}, task="mqar-64")])
    assert "copy-16: no training ended well: lmn (error) and gru (OOM)." in found.answers
    ended = table(found, "Tasks solved and failed")
    assert ("copy-16", "–", "–", "lmn (error), gru (OOM)") in ended.rows
    partly = document([ends[0], *group({"gru": 0.5}, task="copy-16", length=32)])
    assert "copy-16: no score of lmn (error)." in partly.answers


def test_models_of_ones_own_may_have_another_size_and_it_is_said():
    own = [trained(lesson_case("mine:make"), seed, 2.1 + seed / 50, parameters=80146)
           for seed in range(3)]  # fmt: skip
    found = document([*group({"lmn": 2.3}), *own])
    (method,) = [s for s in found.sections if s.title == "Method"]
    assert any("Every model, but mine:make, as large as it was built:" in text
               for text in method.sentences)  # fmt: skip
    (answer,) = [text for text in found.answers if "than mine:make" in text]
    assert answer.endswith("over 3 paired seeds, with 11 % fewer parameters.")
    task = said([trained(lesson_case("mine:make", task="mqar-64"), 0, 0.9, parameters=200000),
                 *group({"lmn": 0.5}, task="mqar-64")])  # fmt: skip
    assert "with 64 % fewer parameters" in task


def test_a_plan_excepts_models_of_ones_own_from_the_size():
    suite = learned_run([trained(lesson_case(s)) for s in ("lmn", "mine:make")]).info.suite
    found = plan_document(suite, plan(suite, environment()), environment())
    assert any("within 1 %, but mine:make, as large as it was built." in a for a in found.answers)


def test_models_of_ones_own_without_a_state_are_told():
    own = trained(lesson_case("mine:make", task="mqar-64"), 0, 0.9)
    metrics = {k: v for k, v in own.metrics.items() if k != "state_bytes"}
    found = document([replace(own, metrics=metrics), *group({"lmn": 0.5}, task="mqar-64")])
    assert "mine:make 90.0%" in " ".join(found.answers)


def test_accuracy_against_state_has_a_panel_per_task_with_its_chance():
    (chart,) = [c for c in document([*TEXTS, *TASKS]).charts if c.kind == "scores"]
    assert [p.title for p in chart.panels] == ["mqar-64", "induction-heads-64", "copy-16"]
    assert chart.panels[0].chance == pytest.approx(1 / 4096)
    (lmn,) = [score for score in chart.panels[0].scores if score.series == "lmn"]
    assert (lmn.x, round(lmn.value, 3)) == (3840, 0.12)
    assert lmn.low < lmn.value < lmn.high


def test_sizes_of_a_model_share_a_panel():
    sizes = [trained(lesson_case(task="mqar-64", model=ModelSpec(width=w)), 0, w / 64,
                     state_bytes=60 * w) for w in (16, 32)]  # fmt: skip
    (chart,) = [c for c in document(sizes).charts if c.kind == "scores"]
    assert len(chart.panels) == 1
    assert [score.x for score in chart.panels[0].scores] == [960, 1920]


def test_a_text_has_its_loss_against_steps_and_time_at_the_best_rate():
    charts = [c for c in document(TEXTS).charts if c.kind == "curves"]
    assert [c.key for c in charts] == ["learn-1-loss-steps", "learn-1-loss-time"]
    last = max((s for s in charts[0].panels[0].scores if s.series == "transformer"),
               key=lambda score: score.x)  # fmt: skip
    assert (last.x, round(last.value, 2)) == (1000, 2.22)


def test_what_was_validated_once_is_drawn_by_its_training_loss():
    records = [
        replace(r, learned=replace(r.learned, validation=r.learned.validation[-1:]))
        for r in group({"lmn": 2.0, "gru": 2.1})
    ]
    assert document(records).charts[0].title.startswith("Training loss against steps")


@pytest.mark.parametrize("records", [TEXTS, TASKS], ids=["text", "tasks"])
def test_charts_become_plain_json_for_pages_and_pictures(records):
    for chart in document(records).charts:
        script_json(panel_specs(chart))
        script_json(picture_spec(chart))


def test_no_two_names_beside_curves_overlap():
    (chart, _) = [c for c in document(TEXTS).charts if c.kind == "curves"]
    (spec,) = panel_specs(chart)
    places = sorted(row["y"] for row in spec["datasets"]["names"])
    low, high = spec["layer"][0]["encoding"]["y"]["scale"]["domain"]
    gap = 12.9 / 300 * (high - low)
    assert all(b - a >= gap for a, b in itertools.pairwise(places))


def test_names_beside_marks_keep_clear_of_chance_and_of_each_other():
    close = {"lmn": 0.031, "lmn@published": 0.035, "transformer": 0.04, "gru": 0.045, "lstm": 0.02}
    (chart,) = [c for c in document(group(close, 0.0, task="copy-16", length=32)).charts
                if c.kind == "scores"]  # fmt: skip
    (spec,) = panel_specs(chart)
    row = 13 / 300 * 1.09
    names = {one["s"]: (one["x"], one["y"]) for one in spec["datasets"]["names"]}
    (chance,) = spec["datasets"]["chance"]
    assert all(abs(y - chance["y"]) > 0.7 * row for _, y in names.values())
    assert all(-0.01 < y < 1 for _, y in names.values())
    at_one_place = [names[subject][1] for subject in ("lmn", "lmn@published")]
    assert abs(at_one_place[0] - at_one_place[1]) > 0.99 * row


def test_chance_is_told_in_the_same_words_everywhere():
    found = document(group({"lmn": 0.4}, task="copy-16", length=32))
    (chart,) = [c for c in found.charts if c.kind == "scores"]
    (chance,) = panel_specs(chart)[0]["datasets"]["chance"]
    assert chance["w"] == "chance 3.8%"
    assert table(found, "Accuracy, chance 3.8%")
    assert "copy-16, chance 3.8%" in found.answers[0]


def test_curves_of_many_models_differ_in_dash_too():
    subjects = ["lmn", "transformer", "transformer-learned", "lstm", "gru", "lmn-conv", "a", "b"]
    chart, _ = document(group(dict.fromkeys(subjects, 2.0))).charts
    (spec,) = panel_specs(chart)
    (line,) = [one for one in spec["layer"] if one["mark"]["type"] == "line"]
    scales = [line["encoding"][what]["scale"] for what in ("color", "strokeDash")]
    looks = zip(scales[0]["range"], map(tuple, scales[1]["range"]), strict=True)
    assert len(set(looks)) == len(subjects)
    assert len({tuple(one) for one in scales[1]["range"]}) == 2


def test_a_model_has_one_colour_in_all_charts_of_a_report():
    places = {
        (one.name, one.place) for chart in document([*TEXTS, *TASKS]).charts for one in chart.series
    }
    assert len(places) == len({name for name, _ in places})


def test_a_page_shows_scores_unfolded_and_no_heading_twice():
    text = page_of([learned_run([*TEXTS, *TASKS])])
    shown_at_once = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)
    assert "<h4>Validation loss, nats per token</h4>" in shown_at_once
    assert "<h4>Accuracy, chance 0.024%</h4>" in shown_at_once
    assert text.count(">Accuracy against state</h") == 1


def test_cells_that_are_stacked_on_a_phone_keep_the_names_of_their_columns():
    text = page_of([learned_run(TASKS)])
    assert '<td data-label="solved by">transformer 3 of 3, transformer-learned 3 of 3</td>' in text


def test_runs_are_laid_over_each_other_where_the_lesson_is_the_same():
    runs = [learned_run(TEXTS), learned_run(group({"lmn": 2.0}, 0.02)),
            learned_run(group({"lmn": 1.0}, learning=OTHER), OTHER)]  # fmt: skip
    found = build_overlay(runs, ["one", "two", "three"])
    shared, apart = [s for s in found.sections if s.charts]
    names = {one.name for one in shared.charts[0].series}
    assert {"lmn · one", "lmn · two"} <= names
    assert {one.name for one in apart.charts[0].series} == {"lmn"}
    assert any(section.title == "three · Method" for section in found.sections)
    versions = [one for one in shared.charts[0].series if one.name.startswith("lmn · ")]
    assert len({one.place for one in versions}) == 1
    assert [one.run for one in versions] == [0, 1]
    words = " ".join(found.answers)
    assert "Equal seeds of lmn came out differently in one and two" in words
    assert "lmn · one learned worse than lmn · two" in words
    assert (
        "three cannot be set side by side with one: plays (sha256 86c4e6aa9db7…) in characters "
        "against python-docs (sha256 2a95af4ac93f…) in characters." in words
    )


def spread_over_two_runs(**of_second):
    """Seed 0 of three models in one run, seed 1 of two of them and a new model in another."""
    first = [r for r in group({"lmn": 2.3, "transformer": 2.2, "gru": 2.5}, seeds=2)
             if r.replicate == 0]  # fmt: skip
    later = [r for r in group({"lmn": 2.3, "transformer": 2.2, "lstm": 2.1}, seeds=2)
             if r.replicate == 1]  # fmt: skip
    return [learned_run(first), learned_run(later, run_id="later", seed=1, **of_second)]


def test_seeds_of_one_lesson_in_several_runs_are_put_together():
    runs = spread_over_two_runs()
    found = build_overlay(runs, ["one", "two"])
    scores = table(found, "Validation loss, nats per token")
    assert [(row[0], row[3]) for row in scores.rows] == [
        ("lstm", "1"), ("transformer", "2"), ("lmn", "2"), ("gru", "1"),
    ]  # fmt: skip
    alone = document_of([learned_run([*runs[0].records, *runs[1].records])])
    assert scores.rows == table(alone, "Validation loss, nats per token").rows
    assert [one.name for one in found.charts[0].series] == ["lmn", "transformer", "gru", "lstm"]
    words = " ".join(found.answers)
    assert "one and two learned python-docs alike: their seeds are put together." in words
    assert "over 2 paired seeds" in words
    (method,) = [s for s in found.sections if s.title == "Method for all runs"]
    assert "A difference is taken seed by seed" in method.sentences[0]
    assert len(json.loads(json_of(runs))["learned"]) == 1


def test_a_training_that_is_in_two_runs_counts_once():
    records = group({"lmn": 2.3})
    found = build_overlay([learned_run(records), learned_run(records[:2])], ["one", "two"])
    assert table(found, "Validation loss, nats per token").rows[0][3] == "3"
    assert "2 trainings came out the same in several runs" in " ".join(found.answers)


def test_a_seed_that_failed_in_one_run_may_come_from_another():
    of = lesson_case()
    runs = [learned_run([diverged(of, 0)]), learned_run([trained(of, 0, 2.0)])]
    assert "lmn has a validation loss of 2.000" in " ".join(build_overlay(runs, "ab").answers)


def test_times_of_two_machines_are_told_apart():
    runs = spread_over_two_runs(environment=environment(cpu_model="Big CPU"))
    found = build_overlay(runs, ["one", "two"])
    assert [s.title for s in found.sections if "Size" in s.title] == [
        "one · Size and cost", "two · Size and cost",
    ]  # fmt: skip
    assert [chart.key for chart in found.charts] == ["learn-1-loss-steps"]


def test_times_of_one_machine_in_another_container_stay_together():
    runs = spread_over_two_runs(environment=environment(hostname="3f2a9c81d7e0"))
    found = build_overlay(runs, ["one", "two"])
    assert not [s.title for s in found.sections if s.title == "two · Size and cost"]
    assert "Measured under 2 host names (testbed, 3f2a9c81d7e0)" in " ".join(found.answers)


def test_a_machine_and_a_version_are_told_once_for_all_runs_they_are_of():
    runs = [learned_run(group({"lmn": 2.3}), environment=environment(git_commit=commit * 40))
            for commit in "aab"]  # fmt: skip
    found = build_overlay(runs, ["one", "two", "three"])
    assert found.subtitle.startswith("all: ")
    assert found.subtitle.count("cores") == 1
    assert (
        "different versions of this code: one and two of aaaaaaaaa; three of bbbbbbbbb."
        in " ".join(found.answers)
    )
    runs[1] = learned_run(group({"lmn": 2.3}), environment=environment(cpu_model="Another"))
    assert "one, three: " in build_overlay(runs, ["one", "two", "three"]).subtitle


def test_runs_without_a_lesson_in_common_say_why():
    longer = replace(LEARNING, budget=Budget(2000))
    runs = [learned_run(group({"lmn": 2.3})),
            learned_run(group({"lmn": 2.0}, learning=longer), longer),
            learned_run(group({"lmn": 0.9}, task="mqar-64"))]  # fmt: skip
    words = " ".join(build_overlay(runs, ["one", "two", "three"]).answers)
    assert "two cannot be set side by side with one: 2,000 steps against 1,000 steps." in words
    assert "three cannot be set side by side with one: mqar-64 against python-docs" in words


@pytest.mark.parametrize("width", [80, 140])
def test_no_heading_is_empty_or_cut_in_a_terminal(width):
    runs = [learned_run([*TEXTS, *TASKS]), learned_run(group({"lmn": 2.0}))]
    found = build_overlay(runs, ["one", "two"])
    text = " ".join(shown(found, width).split())
    told = [s for s in found.sections if s.tables or s.sentences]
    assert all(section.title in text for section in told)
    assert "…" not in text.replace("2a95af4ac93f…", "")
    assert not re.search(r"^## .*\s*(^## |\Z)", render_markdown(found), flags=re.MULTILINE)


def test_csv_has_a_row_per_seed_and_metric_with_the_lesson():
    rows = list(csv.DictReader(io.StringIO(csv_of([learned_run(TEXTS)]))))
    losses = [row for row in rows if row["metric"] == "validation_loss"
              and row["subject"] == "transformer" and row["learning_rate"] == "0.003"]  # fmt: skip
    assert [row["seed"] for row in losses] == ["0", "1", "2"]
    assert [float(row["median"]) for row in losses] == pytest.approx([2.232, 2.208, 2.22])
    assert losses[0]["task"] == "text"
    assert losses[0]["corpus"] == "python-docs"
    assert losses[0]["corpus_sha256"].startswith("2a95af4ac93f")
    assert (losses[0]["budget"], losses[0]["budget_unit"]) == ("1000", "steps")
    (end,) = [row for row in rows if row["outcome"] == "diverged"]
    assert (end["seed"], end["metric"]) == ("1", "")
    assert {row["confidence"] for row in rows} == {""}


def test_a_budget_that_was_stored_as_a_decimal_is_whole_in_csv():
    learning = replace(LEARNING, budget=Budget(20.0))
    text = csv_of([learned_run([trained(lesson_case(learning=learning))], learning)])
    assert {row["budget"] for row in csv.DictReader(io.StringIO(text))} == {"20"}


def test_a_training_that_did_not_live_has_the_seed_that_it_was_given():
    run = learned_run([trained(lesson_case(), 5), diverged(lesson_case(), 1)], seed=5)
    found = build_report(run.info, run.results, run.records, run.planned)
    assert table(found, "python-docs").rows[1][2] == "6"
    (end,) = [row for row in csv.DictReader(io.StringIO(csv_of([run]))) if row["metric"] == ""]
    assert end["seed"] == "6"


def test_json_has_seeds_curves_and_verdicts():
    data = json.loads(json_of([learned_run(TEXTS)]))
    seed = data["cases"][0]["seeds"][0]
    assert seed["learned"]["validation"][-1][0] == 1000
    (setting,) = data["learned"]
    assert setting["lesson"]["corpus"] == "python-docs"
    against = {m["subject"]: m["against"] for m in setting["models"]}
    assert against["transformer"]["verdict"] == "better"
    assert against["lmn"] is None


def test_show_tells_trainings_as_such():
    run = learned_run([trained(lesson_case(), 0, 2.0), diverged(lesson_case(), 1)])
    text = render_markdown(inspect_cases(run.info, run.records))
    assert "training 1: diverged, the loss is nan" in text
    assert "validation loss: █▃▁▁" in text
    assert "timed samples" not in text


def test_show_names_trainings_that_did_not_end_well(tmp_path):
    run = learned_run([trained(lesson_case(), 0, 2.0), diverged(lesson_case(), 1)])
    text = render_markdown(inspect_run(run.info, tmp_path, run.records, ()))
    assert "Trainings that did not end well" in text
    assert "Not measured" not in text


def test_a_plan_counts_trainings_and_groups_them_by_lesson():
    suite = learned_run([*TEXTS, *TASKS]).info.suite
    sweep = replace(suite.sweeps[0], learning_rate=(1e-3, 3e-3), subjects=("lmn", "transformer"))
    learning = replace(suite.learning, parameters=None)
    suite = replace(suite, sweeps=(sweep,), learning=learning)
    found = plan_document(suite, plan(suite, environment()), environment())
    assert found.answers[0].startswith("16 cases × 3 seeds = 48 trainings, about ")
    captions = [t.caption for t in found.sections[0].tables]
    assert captions[0].startswith("Learning python-docs, 1,000 steps of 16 × 128 tokens")
    assert found.sections[0].tables[0].rows[0][:2] == ("lmn", "0.001, 0.003")
    assert "process" not in render_markdown(found)


def test_the_report_of_a_run_can_be_built_from_its_parts():
    run = learned_run(TEXTS)
    found = build_report(run.info, run.results, run.records, run.planned)
    assert found.answers == document(TEXTS).answers
