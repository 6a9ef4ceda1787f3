"""HTTP bodies on where a member stands: card, stage and tier."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

SHOWN = ConfigDict(frozen=True)
EXAMPLE_TIME = "2026-03-01T09:30:00Z"


class ChangeView(BaseModel):
    """From `at` on, seen after activity `after_seq`: this tier and stage."""

    model_config = SHOWN
    after_seq: int = Field(examples=[17])
    at: datetime = Field(examples=[EXAMPLE_TIME])
    tier: str = Field(examples=["silver"])
    stage: str = Field(examples=["satisfaction"])


class CardView(BaseModel):
    """The member card: what campaign rules see of a member."""

    model_config = SHOWN
    member_id: str = Field(examples=["M1"])
    tier: str = Field(examples=["silver"])
    stage: str = Field(examples=["satisfaction"])
    value_class: str | None = None
    enrolled_at: datetime = Field(examples=[EXAMPLE_TIME])
    channel: str = Field(examples=["store"])
    region: str | None = None
    absorbed: int = Field(examples=[17], description="The last activity taken into account.")
    changes: list[ChangeView] = Field(description="The recent changes, oldest first.")
    due: list[ChangeView] = Field(description="What time alone will bring, if nothing else does.")


class EvidenceView(BaseModel):
    """One piece of evidence, as of the newest time known of the member."""

    model_config = SHOWN
    code: str = Field(examples=["repeat"])
    holds: bool
    until: datetime | None = Field(None, description="The last instant at which it holds.")
    words: str = Field(
        examples=["Bought again in time; the next purchase is expected by 2026-04-01"]
    )


class NextStage(BaseModel):
    """The step above, its rule in the programme, and the evidence that is missing for it."""

    model_config = SHOWN
    stage: str = Field(examples=["loyalty"])
    rule: str = Field(examples=["sustained && advocacy"])
    missing: list[str] = Field(examples=[["advocacy"]])


class DueStage(BaseModel):
    """A step that will be lost by time alone."""

    model_config = SHOWN
    stage: str = Field(examples=["acceptance"])
    at: datetime = Field(examples=[EXAMPLE_TIME])


class TransitionView(BaseModel):
    """One step of the way, with the evidence of that moment and what it rested on."""

    model_config = SHOWN
    seq: int = Field(examples=[4])
    at: datetime = Field(examples=[EXAMPLE_TIME])
    kind: str = Field(examples=["stage"], description="`stage` or `tier`.")
    previous: str = Field(examples=["acceptance"])
    reached: str = Field(examples=["satisfaction"])
    after_seq: int = Field(examples=[17])
    dwell_seconds: float | None = Field(None, description="Time spent on the previous stage.")
    evidence: dict[str, bool] | None = None
    facts: dict[str, str | int] | None = Field(
        None, description="Activity ids and seqs, times in microseconds, counts."
    )
    spend: int | None = Field(None, description="Of a tier: minor units in the window.")


class StageView(BaseModel):
    """The step of the relationship (五步成长) a member stands on, and why."""

    model_config = SHOWN
    member_id: str = Field(examples=["M1"])
    stage: str = Field(examples=["satisfaction"])
    name: dict[str, str] = Field(examples=[{"en": "Satisfaction", "zh": "满意度"}])
    as_of: datetime | None = Field(None, description="The newest time known of the member.")
    since: datetime | None = None
    evidence: list[EvidenceView]
    next_stage: NextStage | None = None
    due: list[DueStage]
    history: list[TransitionView] = Field(description="Newest first, of tier and stage.")
    next: str | None = Field(None, description="The cursor of older history.")


class NextTierView(BaseModel):
    """The tier above, and the spend that is missing for it, in minor units."""

    model_config = SHOWN
    tier: str = Field(examples=["gold"])
    name: dict[str, str] = Field(examples=[{"en": "Gold", "zh": "金卡"}])
    spend: int = Field(examples=[180000])
    missing: int = Field(examples=[34000])


class KeepView(BaseModel):
    """Spending `missing` more before `by` keeps the tier."""

    model_config = SHOWN
    by: datetime = Field(examples=["2026-04-01T04:00:00Z"])
    missing: int = Field(examples=[34000])
    drops_to: str = Field(examples=["member"])


class TierView(BaseModel):
    """A member's tier, what is missing for the next, and what keeps this one."""

    model_config = SHOWN
    member_id: str = Field(examples=["M1"])
    tier: str = Field(examples=["silver"])
    name: dict[str, str] = Field(examples=[{"en": "Silver", "zh": "银卡"}])
    multiplier: str = Field(examples=["1.25"])
    as_of: datetime | None = Field(None, description="The newest time known of the member.")
    currency: str = Field(examples=["USD"])
    spend: int = Field(examples=[146000], description="Minor units within the window.")
    window_days: int = Field(examples=[365])
    next_tier: NextTierView | None = None
    keep: KeepView | None = None
    preview: list[str] = Field(
        examples=[["340.00 USD more reaches Gold", "120.00 USD more by 2026-03-31 keeps Silver"]]
    )
