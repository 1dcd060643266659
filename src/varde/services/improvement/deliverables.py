"""The ten deliverables of the public project page ("the seed"), as data: what each is called, and the service that
fulfils it. Whether one is delivered is never written here: it is computed from evidence (IMP-09)."""

from __future__ import annotations

from dataclasses import dataclass

_ = str  # marks messages for extraction


@dataclass(frozen=True, slots=True)
class Deliverable:
    """One deliverable. `service` is the folder under services/."""

    number: int
    title: str
    service: str


DELIVERABLES = (
    Deliverable(1, _("Pasientbrev på Helsenorge med ettersending"), "letters"),
    Deliverable(2, _("Digital dialog med behandlende enhet"), "dialogue"),
    Deliverable(3, _("Digitale behandlingsplaner og hjemmeoppfølging"), "plans"),
    Deliverable(4, _("Digitale skjema"), "forms"),
    Deliverable(5, _("Ombooking av time"), "appointments"),
    Deliverable(6, _("Dokumentdeling via Kjernejournal"), "documents"),
    Deliverable(7, _("Time 2.0"), "appointments"),
    Deliverable(8, _("Forbedre eksisterende tjenester"), "improvement"),
    Deliverable(9, _("Vise rekvisisjon og prøvesvar"), "results"),
    Deliverable(10, _("Digitale pasienttjenester for barn og unge"), "family"),
)

SERVICE_TITLES = {
    "letters": _("Brev"),
    "dialogue": _("Meldinger"),
    "plans": _("Planer"),
    "forms": _("Skjema"),
    "appointments": _("Timer"),
    "documents": _("Journaldokumenter"),
    "results": _("Prøvesvar"),
    "family": _("Familie og fullmakt"),
    "improvement": _("Tilbakemelding og driftsstatus"),
}
"""What patients call each service, in the order of the page."""
