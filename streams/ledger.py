"""Pure: the budgets of one usage partition. Usage records go in, in order; decisions come out, and snapshots."""

from collections.abc import Iterable

from penstock.schemas.policy import Limit
from penstock.schemas.topics import CONTROL
from penstock.schemas.usage import BudgetSnapshot, UsageTotal

from .budget import Budget, Decision
from .decisions import Case, Rules, say_done, say_kill, say_used_up
from .emission import Emission, of_lifting
from .limits import Window, window_of
from .snapshot import from_snapshot, is_of, newest, retired, to_snapshot


class Ledger:
    """One usage partition. `next_offset` is the first record that it has not taken in, None before the first."""

    def __init__(self, partition: int, rules: Rules) -> None:
        self.partition = partition
        self.next_offset: int | None = None
        self._rules = rules
        self._limits: dict[str, Limit] = {limit.id: limit for limit in rules.limits}
        self._budgets: dict[tuple[str, str], dict[str, Budget]] = {}
        self._changed: dict[tuple[str, str, str], Budget] = {}

    def restore(self, snapshots: Iterable[BudgetSnapshot], now_us: int) -> list[Emission]:
        """Starts from `snapshots`: of each budget the one that contains most. Says which blocks the policy no longer
        wants: a limit that was raised, softened, moved or taken out would else close its scope until the window ends,
        since what is refused uses nothing and so is never judged again."""
        blocked: dict[tuple[str, str], bool] = {}
        for (limit_id, scope, window), snapshot in newest(snapshots).items():
            limit, wanted = self._limits.get(limit_id), False
            if limit is not None and is_of(snapshot, limit):
                budget = from_snapshot(snapshot, limit)
                self._budgets.setdefault((limit_id, scope), {})[window] = budget
                if budget.epoch and budget.used < limit.amount:
                    budget.epoch = 0
                    self._changed[limit_id, scope, window] = budget
                wanted = budget.epoch != 0 and limit.kind == "hard"
            if snapshot.blocked_epoch and not Window(window, snapshot.ends_at_us).is_over(now_us):
                blocked[limit_id, scope] = blocked.get((limit_id, scope), False) or wanted
        return [of_lifting(scope, limit_id) for (limit_id, scope), wanted in blocked.items() if not wanted]

    def apply(self, total: UsageTotal, offset: int, appended_us: int, now_us: int) -> list[Emission]:
        """Takes in the usage record at `offset`, appended at `appended_us`; says what it led to."""
        self.next_offset = offset + 1
        limit = self._limits.get(total.limit_id)
        if limit is None:
            return []
        budget = self._budget(limit, total)
        self._changed[limit.id, total.scope, budget.window.id] = budget
        decision = budget.apply(total, offset, appended_us)
        case = Case(limit, total.scope, budget.window, appended_us, now_us)
        return self._say(case, total, decision)

    def changed(self) -> list[BudgetSnapshot]:
        """Snapshots of what has changed since the last call, all as of now."""
        found = [to_snapshot(budget, self.partition) for budget in self._changed.values()]
        self._changed.clear()
        return found

    def retire(self, now_us: int) -> list[tuple[str, str, str]]:
        """Forgets windows that nothing can count towards any more, and those in which nothing was used, as of keys and
        models that a client made up: their (limit id, scope, window)."""
        gone = []
        for (limit_id, scope), windows in self._budgets.items():
            for name, budget in [*windows.items()]:
                if budget.unused or retired(budget.window, now_us, idle=not budget.running):
                    del windows[name]
                    self._changed.pop((limit_id, scope, name), None)
                    gone.append((limit_id, scope, name))
        self._budgets = {key: windows for key, windows in self._budgets.items() if windows}
        return gone

    def _budget(self, limit: Limit, total: UsageTotal) -> Budget:
        """The budget that the exchange counts towards: where it runs already, else that of its start."""
        windows = self._budgets.setdefault((limit.id, total.scope), {})
        for budget in windows.values():
            if total.exchange_id in budget.running:
                return budget
        window = window_of(limit, total.started_at_us)
        if window.id not in windows:
            windows[window.id] = Budget(limit, total.scope, window)
        return windows[window.id]

    def _holds_order(self, case: Case) -> bool:
        """Whether the order that stands for the limit and scope is this window's: that of a window that is over has
        ended by itself, and a later window's must stay."""
        windows = self._budgets[case.limit.id, case.scope].values()
        others = any(budget.epoch and not budget.window.is_over(case.now_us) for budget in windows)
        return not others and not case.window.is_over(case.now_us)

    def _say(self, case: Case, total: UsageTotal, decision: Decision) -> list[Emission]:
        said: list[Emission] = []
        if decision.used_up:
            crossed_at_us = decision.kills[0].crossed_at_us if decision.kills else total.seq_time_us
            said += say_used_up(self._rules, case, total.exchange_id, crossed_at_us)
        for kill in decision.kills:
            said += say_kill(self._rules, case, kill)
        if decision.reopened and case.limit.kind == "hard" and self._holds_order(case):
            said.append(of_lifting(case.scope, case.limit.id))
        if decision.ended:
            said.append(say_done(case.limit, decision.ended))
        # Orders before reports, and the block before the kills: a program that is cut and asks again at once meets it.
        return sorted(said, key=lambda emission: emission.topic != CONTROL)
