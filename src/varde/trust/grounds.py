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
LOG_FOLLOW_UP = Ground(
    "log-follow-up",
    "pasientjournalloven",
    "§ 22",
    {
        "nb": "Personvernombudet kontrollerer at ingen ser i journaler uten grunn.",
        "nn": "Personvernombodet kontrollerer at ingen ser i journalar utan grunn.",
        "se": "Persovdnasuodjalanáittardeaddji dárkkista ahte ii oktage geahča journálaid almmá siva haga.",
        "en": "The privacy officer checks that nobody looks into records without a reason.",
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
PARENT_OF_YOUTH = Ground(
    "parent-of-youth",
    "pasient- og brukerrettighetsloven",
    "§ 3-4 og § 4-4",
    {
        "nb": "Du har foreldreansvar, og barnet er mellom 12 og 15 år. Du ser det som er åpnet for deg.",
        "nn": "Du har foreldreansvar, og barnet er mellom 12 og 15 år. Du ser det som er opna for deg.",
        "se": "Dus lea váhnenovddasvástádus ja mánná lea 12–15 jagi. Don oainnát dan mii lea dutnje rahppojuvvon.",
        "en": "You have parental responsibility, and the child is between 12 and 15. You see what is opened to you.",
    },
)
YOUTH_ACCESS = Ground(
    "youth-access",
    "pasient- og brukerrettighetsloven",
    "§ 5-1 og § 4-4",
    {
        "nb": "Du er mellom 13 og 15 år, og en av foreldrene dine har samtykket til at du bruker tjenesten selv.",
        "nn": "Du er mellom 13 og 15 år, og ein av foreldra dine har samtykt til at du bruker tenesta sjølv.",
        "se": "Don leat 13–15 jagi boaris, ja okta du váhnemiin lea miehtan ahte geavahat bálvalusa ieš.",
        "en": "You are between 13 and 15, and one of your parents has agreed that you use the service yourself.",
    },
)
YOUTH_ALONE = Ground(
    "youth-alone",
    "pasient- og brukerrettighetsloven",
    "§ 3-4 og § 5-1",
    {
        "nb": "Dette er et tilbud som loven gir deg alene.",
        "nn": "Dette er eit tilbod som lova gir deg åleine.",
        "se": "Dát lea fálaldat maid láhka addá dutnje okto.",
        "en": "This is a service that the law gives to you alone.",
    },
)
GUARDIANSHIP = Ground(
    "guardianship",
    "vergemålsloven",
    "§ 31",
    {
        "nb": "Du er verge, og oppdraget ditt omfatter dette.",
        "nn": "Du er verje, og oppdraget ditt omfattar dette.",
        "se": "Don leat áittardeaddji, ja du bargu fátmmasta dán.",
        "en": "You are a guardian, and your mandate takes this in.",
    },
)
POWER_OF_ATTORNEY = Ground(
    "power-of-attorney",
    "pasient- og brukerrettighetsloven",
    "§ 3-3 og § 5-1",
    {
        "nb": "Du har fullmakt til å se dette.",
        "nn": "Du har fullmakt til å sjå dette.",
        "se": "Dus lea fápmudus oaidnit dán.",
        "en": "You hold a power of attorney to see this.",
    },
)
EMERGENCY = Ground(
    "emergency",
    "helsepersonelloven og pasientjournalloven",
    "§ 7 og § 19",
    {
        "nb": "Du trengte øyeblikkelig hjelp, og opplysningene var nødvendige for å gi den.",
        "nn": "Du trong augeblikkeleg hjelp, og opplysningane var nødvendige for å gi henne.",
        "se": "Don dárbbašit dalánaga veahki, ja dieđut ledje dárbbašlaččat dan addimii.",
        "en": "You needed help at once, and the information was necessary to give it.",
    },
)
SHARING = Ground(
    "sharing",
    "pasientjournalloven",
    "§ 19",
    {
        "nb": "En annen virksomhet gir deg helsehjelp og trenger opplysningene til det.",
        "nn": "Ei anna verksemd gir deg helsehjelp og treng opplysningane til det.",
        "se": "Eará doaimmahat addá dutnje dearvvašvuođaveahki ja dárbbaša dieđuid dasa.",
        "en": "Another provider gives you health care and needs the information for it.",
    },
)
WITHHELD = Ground(
    "withheld",
    "pasient- og brukerrettighetsloven",
    "§ 5-1 andre ledd",
    {
        "nb": "Den som behandler deg, har bestemt at dette ikke vises her nå.",
        "nn": "Den som behandlar deg, har bestemt at dette ikkje blir vist her no.",
        "se": "Dikšu lea mearridan ahte dát ii čájehuvvo dáppe dál.",
        "en": "The one who treats you has decided that this is not shown here now.",
    },
)
DELAYED = Ground(
    "delayed",
    "pasient- og brukerrettighetsloven",
    "§ 3-2 og § 5-1",
    {
        "nb": "Dette vises når den som behandler deg, har rukket å snakke med deg om det.",
        "nn": "Dette blir vist når den som behandlar deg, har rokke å snakke med deg om det.",
        "se": "Dát čájehuvvo go dikšu lea ollen duinna das ságastit.",
        "en": "This is shown when the one who treats you has had time to talk with you about it.",
    },
)
WITHHELD_FROM_PARENTS = Ground(
    "withheld-from-parents",
    "pasient- og brukerrettighetsloven",
    "§ 3-4 andre ledd",
    {
        "nb": "Den som behandler barnet, har bestemt at foreldre ikke ser dette.",
        "nn": "Den som behandlar barnet, har bestemt at foreldre ikkje ser dette.",
        "se": "Máná dikšu lea mearridan ahte váhnemat eai oainne dán.",
        "en": "The one who treats the child has decided that parents do not see this.",
    },
)
NOT_ASSESSED = Ground(
    "not-assessed",
    "pasient- og brukerrettighetsloven",
    "§ 3-4 og § 4-3",
    {
        "nb": "Fra 12 til 15 år vises bare det som den som behandler, har åpnet etter en samtale med den unge.",
        "nn": "Frå 12 til 15 år blir berre det vist som den som behandlar, har opna etter ein samtale med den unge.",
        "se": "12 jagi rájes 15 jahkái čájehuvvo dušše dat maid dikšu lea rahpan maŋŋel ságastallama nuorain.",
        "en": "From 12 to 15 years only what the clinician has opened, after talking with the young person, is shown.",
    },
)
NO_YOUTH_ACCESS = Ground(
    "no-youth-access",
    "pasient- og brukerrettighetsloven",
    "§ 4-4",
    {
        "nb": "Du er under 16 år, og ingen av foreldrene dine har samtykket til at du bruker tjenesten selv.",
        "nn": "Du er under 16 år, og ingen av foreldra dine har samtykt til at du bruker tenesta sjølv.",
        "se": "Don leat vuollel 16 jagi, eaige du váhnemat leat miehtan ahte geavahat bálvalusa ieš.",
        "en": "You are under 16, and neither of your parents has agreed that you use the service yourself.",
    },
)
PARENTS_END = Ground(
    "parents-end",
    "pasient- og brukerrettighetsloven",
    "§ 4-3",
    {
        "nb": "Fra 16 år bestemmer man selv om egen helse. Foreldre ser ikke lenger noe her.",
        "nn": "Frå 16 år bestemmer ein sjølv om eiga helse. Foreldre ser ikkje lenger noko her.",
        "se": "16 jagi rájes mearrida olmmoš ieš iežas dearvvašvuođas. Váhnemat eai šat oainne maidege dáppe.",
        "en": "From 16 one decides about one's own health. Parents no longer see anything here.",
    },
)
CHILD_WELFARE = Ground(
    "child-welfare",
    "barnevernsloven",
    "§ 5-4",
    {
        "nb": "Barnet bor ikke hos foreldrene, og foreldrenes digitale innsyn er slått av.",
        "nn": "Barnet bur ikkje hos foreldra, og det digitale innsynet til foreldra er slått av.",
        "se": "Mánná ii ása váhnemiid luhtte, ja váhnemiid digitála oaidnu lea jáddaduvvon.",
        "en": "The child does not live with the parents, and the parents' digital access is turned off.",
    },
)
PROTECTED_ADDRESS = Ground(
    "protected-address",
    "folkeregisterloven",
    "§ 10-4",
    {
        "nb": "En som bor på beskyttet adresse, kan ikke representere andre eller bli representert digitalt.",
        "nn": "Ein som bur på verna adresse, kan ikkje representere andre eller bli representert digitalt.",
        "se": "Suodjaluvvon čujuhusas ássi ii sáhte ovddastit earáid iige ovddastuvvot digitálalaččat.",
        "en": "One who lives at a protected address can neither represent others nor be represented digitally.",
    },
)
DEAD = Ground(
    "dead",
    "helsepersonelloven",
    "§ 24",
    {
        "nb": "Personen er død, og de digitale tjenestene er avsluttet.",
        "nn": "Personen er død, og dei digitale tenestene er avslutta.",
        "se": "Olmmoš lea jápmán, ja digitála bálvalusat leat loahpahuvvon.",
        "en": "The person has died, and the digital services have ended.",
    },
)
BLOCKED = Ground(
    "blocked",
    "pasient- og brukerrettighetsloven",
    "§ 5-3",
    {
        "nb": "Du har sperret dette.",
        "nn": "Du har sperra dette.",
        "se": "Don leat giddestan dán.",
        "en": "You have blocked this.",
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
        OWN_RECORD, PARENT_OF_CHILD, TREATMENT, ADMINISTRATION, RUNNING_SERVICE, RECORD_SYSTEM, VERIFICATION,
        LOG_FOLLOW_UP,
        PARENT_OF_YOUTH, YOUTH_ACCESS, YOUTH_ALONE, GUARDIANSHIP, POWER_OF_ATTORNEY, EMERGENCY, SHARING,
        WITHHELD, DELAYED, WITHHELD_FROM_PARENTS, NOT_ASSESSED, NO_YOUTH_ACCESS, PARENTS_END, CHILD_WELFARE,
        PROTECTED_ADDRESS, DEAD, BLOCKED, NONE,
    )
}  # fmt: skip
