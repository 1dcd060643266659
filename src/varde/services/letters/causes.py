"""Why a letter changed its state, in plain words for staff (LET-50). Texts only; Sámi texts await review.

Keys that are not here are those of `reasons.REASONS` and `reasons.DECISIONS`: why that way, why on paper.
"""

from __future__ import annotations

from varde.services.letters.reasons import DECISIONS, REASONS, Texts

CAUSES: Texts = {
    "sent": {
        "nb": "Sendt fra avdelingen",
        "nn": "Sendt frå avdelinga",
        "se": "Sáddejuvvon ossodagas",
        "en": "Sent by the ward",
    },
    "notified": {
        "nb": "Varsel er sendt",
        "nn": "Varsel er sendt",
        "se": "Diehtu lea sáddejuvvon",
        "en": "Notification sent",
    },
    "opened": {
        "nb": "Brevet ble åpnet",
        "nn": "Brevet vart opna",
        "se": "Reive rahppojuvvui",
        "en": "The letter was opened",
    },
    "digital-now": {
        "nb": "Mottakeren er blitt digital, så brevet går ikke på papir nå",
        "nn": "Mottakaren er blitt digital, så brevet går ikkje på papir no",
        "se": "Vuostáiváldi lea šaddan digitálalaš, danne reive ii sáddejuvvo báberis dál",
        "en": "The recipient has become digital, so the letter does not go on paper now",
    },
    "handed-over": {
        "nb": "Overlevert til trykkeriet",
        "nn": "Overlevert til trykkeriet",
        "se": "Addojuvvon prentehussii",
        "en": "Handed over to the printer",
    },
    "printed": {
        "nb": "Trykkeriet har trykket brevet",
        "nn": "Trykkeriet har trykt brevet",
        "se": "Prentehus lea prenten reivve",
        "en": "The printer has printed the letter",
    },
    "posted": {
        "nb": "Trykkeriet har postlagt brevet",
        "nn": "Trykkeriet har postlagt brevet",
        "se": "Prentehus lea bidjan reivve postii",
        "en": "The printer has posted the letter",
    },
    "returned": {
        "nb": "Posten leverte brevet tilbake",
        "nn": "Posten leverte brevet tilbake",
        "se": "Poasta máhcahii reivve",
        "en": "The post returned the letter",
    },
    "returned-to-ward": {
        "nb": "Brevet kom i retur til avdelingen",
        "nn": "Brevet kom i retur til avdelinga",
        "se": "Reive máhccai ossodahkii",
        "en": "The letter came back to the ward",
    },
    "printer-refused": {
        "nb": "Trykkeriet kunne ikke ta imot brevet",
        "nn": "Trykkeriet kunne ikkje ta imot brevet",
        "se": "Prentehus ii sáhttán váldit vuostá reivve",
        "en": "The printer could not take the letter",
    },
    "withdrawn": {
        "nb": "Trukket tilbake av avdelingen",
        "nn": "Trekt tilbake av avdelinga",
        "se": "Ossodat gesii ruovttoluotta",
        "en": "Withdrawn by the ward",
    },
    "replaced": {
        "nb": "Erstattet av et nytt brev",
        "nn": "Erstatta av eit nytt brev",
        "se": "Ođđa reive lea boahtán sadjái",
        "en": "Replaced by a new letter",
    },
}


def cause(key: str, language: str) -> str:
    """The cause in `language`; the key itself for one that no table knows."""
    for texts in (CAUSES, DECISIONS, REASONS):
        if key in texts:
            return texts[key][language]
    return key
