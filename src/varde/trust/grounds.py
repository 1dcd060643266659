"""Every legal ground on which Varde shows or changes something, as data: law, section, and one sentence that
a patient understands. The only place that names the law's sections; `policy.py` decides which applies.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ground:
    """A legal ground. `sentence` is by language: nb, nn, se, en."""

    key: str
    law: str
    section: str
    sentence: dict[str, str]


OWN_RECORD = Ground(
    "own-record",
    "pasient- og brukerrettighetsloven",
    "§ 5-1",
    {
        "nb": "Du har rett til å se opplysninger om deg selv.",
        "nn": "Du har rett til å sjå opplysningar om deg sjølv.",
        "se": "Dus lea riekti oaidnit dieđuid iežat birra.",
        "en": "You have the right to see information about yourself.",
    },
)
PARENT_OF_CHILD = Ground(
    "parent-of-child",
    "pasient- og brukerrettighetsloven",
    "§ 4-4, jf. § 3-4",
    {
        "nb": "Du har foreldreansvar for barnet.",
        "nn": "Du har foreldreansvar for barnet.",
        "se": "Dus lea váhnenovddasvástádus mánás.",
        "en": "You have parental responsibility for the child.",
    },
)
TREATMENT = Ground(
    "treatment",
    "pasientjournalloven og helsepersonelloven",
    "§ 19 og § 45",
    {
        "nb": "Avdelingen gir deg helsehjelp og trenger opplysningene til det.",
        "nn": "Avdelinga gir deg helsehjelp og treng opplysningane til det.",
        "se": "Ossodat addá dutnje dearvvašvuođaveahki ja dárbbaša dieđuid dasa.",
        "en": "The ward gives you health care and needs the information for it.",
    },
)
ADMINISTRATION = Ground(
    "administration",
    "pasientjournalloven",
    "§ 15 og § 19",
    {
        "nb": "Avdelingen trenger opplysningene for å kalle inn og gi beskjed.",
        "nn": "Avdelinga treng opplysningane for å kalle inn og gi beskjed.",
        "se": "Ossodat dárbbaša dieđuid vai sáhttá gohččut ja dieđihit.",
        "en": "The ward needs the information to summon and inform you.",
    },
)
RUNNING_SERVICE = Ground(
    "running-service",
    "pasientjournalloven",
    "§ 6 og § 8",
    {
        "nb": "Systemet utførte en oppgave for sykehuset, uten at noen leste innholdet.",
        "nn": "Systemet utførte ei oppgåve for sjukehuset, utan at nokon las innhaldet.",
        "se": "Vuogádat dagai barggu buohcceviesu ovddas, iige oktage lohkan sisdoalu.",
        "en": "The system carried out a task for the hospital; nobody read the content.",
    },
)
RECORD_SYSTEM = Ground(
    "record-system",
    "pasientjournalloven",
    "§ 8 og § 19",
    {
        "nb": "Sykehusets journalsystem utvekslet opplysninger om helsehjelpen din.",
        "nn": "Journalsystemet til sjukehuset utveksla opplysningar om helsehjelpa di.",
        "se": "Buohcceviesu journálavuogádat lonohalai dieđuid du dearvvašvuođaveahki birra.",
        "en": "The hospital's record system exchanged information about your care.",
    },
)
VERIFICATION = Ground(
    "verification",
    "pasientjournalloven",
    "§ 22",
    {
        "nb": "En prøve med oppdiktede personer viste at tjenesten virker.",
        "nn": "Ein prøve med oppdikta personar viste at tenesta verkar.",
        "se": "Geahččaleapmi hutkojuvvon olbmuiguin čájehii ahte bálvalus doaibmá.",
        "en": "A test with invented persons showed that the service works.",
    },
)
NONE = Ground(
    "none",
    "pasientjournalloven",
    "§ 16",
    {
        "nb": "Det er ikke noe grunnlag for å se dette.",
        "nn": "Det er ikkje noko grunnlag for å sjå dette.",
        "se": "Ii leat vuođđu oaidnit dán.",
        "en": "There is no ground for seeing this.",
    },
)

GROUNDS = {
    g.key: g
    for g in (
        OWN_RECORD, PARENT_OF_CHILD, TREATMENT, ADMINISTRATION, RUNNING_SERVICE, RECORD_SYSTEM, VERIFICATION, NONE,
    )
}  # fmt: skip
