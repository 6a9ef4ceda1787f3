"""The names that rules in a programme may use, with their types.

A name that has no value for an activity (the rating of a purchase) is simply unknown: a rule that
needs it does not hold, and the reason is kept. So `activity.type == "review" && activity.rating
<= 2` is right for every activity, because the first part settles it.
"""

from kit.rules import Vocabulary

STAGES = ("need", "awareness", "acceptance", "satisfaction", "loyalty")

_MEMBER = {
    "member.tier": "string",
    "member.stage": "string",
    "member.value_class": "string",
    "member.tenure_days": "int",
    "member.region": "string",
    "member.channel": "string",
}

# Who may have a reward, and what a vesting bonus asks: the card of the member as of now.
MEMBER = Vocabulary(_MEMBER)

# Campaign conditions: the activity, and the card of the member as of that activity.
ACTIVITY = Vocabulary(
    {
        "activity.type": "string",
        "activity.amount": "double",  # currency units, not minor units
        "activity.lines": "int",  # how many lines, not the quantity of goods
        "activity.categories": "list<string>",
        "activity.channel": "string",
        "activity.store": "string",
        "activity.source": "string",
        "activity.partner": "string",
        "activity.rating": "int",
        **_MEMBER,
    }
)

# Stage rules: what the club knows about a member, each a yes or no.
EVIDENCE = Vocabulary(
    {
        "contact": "bool",
        "kept_purchase": "bool",
        "repeat": "bool",
        "content": "bool",
        "open_complaint": "bool",
        "sustained": "bool",
        "advocacy": "bool",
    }
)

# Vesting rules: what a member did in the time before an instalment.
PERIOD = Vocabulary(
    {
        "period.purchases": "int",  # those given back whole are taken off again
        "period.spend": "double",  # currency units, less what was given back
        "period.activities": "int",  # of any kind
    }
)
