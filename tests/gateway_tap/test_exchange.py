import pytest

from penstock.gateway_tap.exchange import TABLE, Exchange, IllegalStep, State, Step
from penstock.schemas.events import AppliedOrder, Completion, Identity


def exchange(state: State = State.RECEIVING) -> Exchange:
    return Exchange("e", 1, 0.0, Identity(key_id="anonymous"), state=state)


def test_the_straight_way() -> None:
    one = exchange()
    for step in (Step.ADMIT, Step.RELEASE, Step.HEAD):
        one.step(step)
        assert not one.over
    one.upstream_status = 200
    one.step(Step.ANSWERED)
    assert (one.outcome, one.reason) == ("completed", "")
    one.step(Step.SETTLED)
    assert one.state is State.ENDED


def test_an_error_of_the_upstream_is_an_outcome_of_its_own() -> None:
    one = exchange(State.ANSWERING)
    one.upstream_status = 429
    one.step(Step.ANSWERED)
    assert (one.outcome, one.reason) == ("upstream_error", "upstream status 429")


def test_an_answer_that_says_that_it_failed_is_no_completed_one() -> None:
    one = exchange(State.ANSWERING)
    one.upstream_status = 200
    one.step(Step.ANSWERED, "the upstream reported an error in its answer")
    assert (one.outcome, one.reason) == ("upstream_error", "the upstream reported an error in its answer")


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("step", list(Step))
def test_every_pair_is_either_in_the_table_or_refused(state: State, step: Step) -> None:
    one = exchange(state)
    if (state, step) in TABLE:
        one.step(step)
        assert one.state is TABLE[state, step]
    else:
        with pytest.raises(IllegalStep):
            one.step(step)
        assert one.state is state


def test_every_state_but_the_last_can_end() -> None:
    for state in set(State) - {State.ENDED}:
        reached, grown = {state}, True
        while grown:
            following = {TABLE[pair] for pair in TABLE if pair[0] in reached}
            grown = not following <= reached
            reached |= following
        assert State.ENDED in reached
    assert not any(state is State.ENDED for state, _ in TABLE)


def test_the_first_outcome_stays() -> None:
    one = exchange(State.ANSWERING)
    one.step(Step.KILL, "budget")
    one.step(Step.CLIENT_LOST, "gone")
    assert (one.outcome, one.reason, one.state) == ("killed", "budget", State.ENDED)


def test_an_observed_order_is_kept_once() -> None:
    order = AppliedOrder(
        order_id="o", scope="team:a", reason="r", epoch=1, decided_at_us=1, received_at_us=1, applied_at_us=1
    )
    one = exchange()
    one.observe(order)
    one.observe(order)
    assert len(one.observed) == 1
    assert Completion.model_validate_json(one.completion({}, 5, 1.0)).observed == [order]
