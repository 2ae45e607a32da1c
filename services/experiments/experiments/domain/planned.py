"""The analysis plan as a document: what is settled at the start, and the hash by which anybody can tell it again.

The hash is SHA-256 over the document as canonical JSON: keys sorted, no spaces, UTF-8, numbers in their shortest form.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from experiments.domain.experiment import Experiment

FORM = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan as it was from `at` on; number 1 is the one that the experiment started with. `by`: who settled it."""

    experiment_id: UUID
    number: int
    at: datetime
    by: str
    reason: str
    digest: str
    document: Mapping[str, Any]


def plan_document(experiment: Experiment) -> dict[str, Any]:
    """Return what an experiment is to find out and how it will be judged. No weights: those belong to phases."""
    control, *treatments = (variant.key for variant in experiment.variants)
    return {
        "form": FORM,
        "hypothesis": experiment.hypothesis,
        "unit": experiment.unit,
        "control": control,
        "treatments": treatments,
        "metrics": [asdict(metric) for metric in experiment.metrics],
        "analysis": {**asdict(experiment.analysis), "looks": list(experiment.analysis.looks)},
    }


def digest_of(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a document as canonical JSON, in hexadecimal digits."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode()).hexdigest()


def digest(experiment: Experiment) -> str:
    """Return the hash of an experiment's plan as it is now."""
    return digest_of(plan_document(experiment))
