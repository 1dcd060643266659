"""Why a letter goes as it does and what comes next, in plain words: for staff, and for the patient. Texts only.

The keys are given by `rules.py`. Sámi texts await review, as docs/languages.md says.
"""

from __future__ import annotations

from collections.abc import Mapping

Texts = Mapping[str, Mapping[str, str]]
"""key -> language -> sentence."""

REASONS: Texts = {
    "digital": {
        "nb": "Bruker digitale tjenester",
        "nn": "Bruker digitale tenester",
        "se": "Geavaha digitála bálvalusaid",
        "en": "Uses the digital services",
    },
    "child-digital": {
        "nb": "En forelder leser barnets brev digitalt",
        "nn": "Ein forelder les breva til barnet digitalt",
        "se": "Váhnen lohká máná reivviid digitálalaččat",
        "en": "A parent reads the child's letters digitally",
    },
    "youth-digital": {
        "nb": "Henvisningen er åpnet for den unge, som bruker digitale tjenester",
        "nn": "Tilvisinga er opna for den unge, som bruker digitale tenester",
        "se": "Čujuheapmi lea rahppojuvvon nuorra olbmui, gii geavaha digitála bálvalusaid",
        "en": "The referral is open to the young person, who uses the digital services",
    },
    "parent-at-home": {
        "nb": "Ingen forelder på barnets adresse leser digitalt, så brevet går også på papir",
        "nn": "Ingen forelder på adressa til barnet les digitalt, så brevet går òg på papir",
        "se": "Ii oktage váhnen máná čujuhusas loga digitálalaččat, danne reive sáddejuvvo maid báberis",
        "en": "No parent at the child's address reads digitally, so the letter also goes on paper",
    },
    "child-on-paper": {
        "nb": "Ingen som kan lese for barnet, bruker digitale tjenester",
        "nn": "Ingen som kan lese for barnet, bruker digitale tenester",
        "se": "Ii oktage gii sáhttá lohkat máná ovddas, geavat digitála bálvalusaid",
        "en": "Nobody who may read for the child uses the digital services",
    },
    "referral-not-assessed": {
        "nb": "12–15 år, og ingen behandler har vurdert hvem som kan se henvisningen",
        "nn": "12–15 år, og ingen behandlar har vurdert kven som kan sjå tilvisinga",
        "se": "12–15 jagi, iige dikšu leat árvvoštallan gii oažžu oaidnit čujuheami",
        "en": "Aged 12–15, and no clinician has assessed who may see the referral",
    },
    "youth-on-paper": {
        "nb": "Behandleren har valgt papir til den unge selv, som ikke kan lese digitalt",
        "nn": "Behandlaren har valt papir til den unge sjølv, som ikkje kan lese digitalt",
        "se": "Dikšu lea válljen báhpára nuorra olbmui alccesis, gii ii sáhte lohkat digitálalaččat",
        "en": "The clinician chose paper to the young person, who cannot read digitally",
    },
    "no-paper": {
        "nb": "Behandleren har valgt at det ikke skal sendes papir, og ingen kan nås digitalt",
        "nn": "Behandlaren har valt at det ikkje skal sendast papir, og ingen kan nåast digitalt",
        "se": "Dikšu lea válljen ahte báhpár ii galgga sáddejuvvot, iige oktage sáhte juksojuvvot digitálalaččat",
        "en": "The clinician chose that no paper is sent, and nobody can be reached digitally",
    },
    "withheld": {
        "nb": "Foreldrene skal ikke få vite om dette, og den unge kan ikke nås digitalt",
        "nn": "Foreldra skal ikkje få vite om dette, og den unge kan ikkje nåast digitalt",
        "se": "Váhnemat eai galgga diehtit dan birra, iige nuorra olbmo sáhte digitálalaččat juksat",
        "en": "The parents shall not be told, and the young person cannot be reached digitally",
    },
    "soon": {
        "nb": "Timen er snart, så brevet går både digitalt og på papir",
        "nn": "Timen er snart, så brevet går både digitalt og på papir",
        "se": "Diibmu lea fargga, danne reive sáddejuvvo sihke digitálalaččat ja báberis",
        "en": "The appointment is soon, so the letter goes both digitally and on paper",
    },
    "mailbox": {
        "nb": "Har digital postkasse",
        "nn": "Har digital postkasse",
        "se": "Sus lea digitála poastaboksa",
        "en": "Has a digital mailbox",
    },
    "address-wrong": {
        "nb": "Brev har kommet i retur, så vi prøver digitalt med SMS",
        "nn": "Brev har kome i retur, så vi prøver digitalt med SMS",
        "se": "Reivvet leat máhccan, danne geahččalit digitálalaččat SMS:in",
        "en": "Mail has been returned, so we try digitally with a text message",
    },
    "reserved": {
        "nb": "Har reservert seg mot digital post",
        "nn": "Har reservert seg mot digital post",
        "se": "Lea biehttalan digitála poastta",
        "en": "Has opted out of digital mail",
    },
    "declined": {
        "nb": "Har sagt nei til brev her, og vil ha dem på papir",
        "nn": "Har sagt nei til brev her, og vil ha dei på papir",
        "se": "Lea biehttalan reivviid dáppe, ja háliida daid báhpiris",
        "en": "Has said no to letters here, and wants them on paper",
    },
    "not-user": {
        "nb": "Bruker ikke digitale tjenester",
        "nn": "Bruker ikkje digitale tenester",
        "se": "Ii geavat digitála bálvalusaid",
        "en": "Does not use the digital services",
    },
    "not-logged-in": {
        "nb": "Har ikke logget inn på lenge",
        "nn": "Har ikkje logga inn på lenge",
        "se": "Ii leat logget sisa guhkes áigái",
        "en": "Has not logged in for a long time",
    },
    "not-notifiable": {
        "nb": "Har ikke mobilnummer eller e-post som kan brukes",
        "nn": "Har ikkje mobilnummer eller e-post som kan brukast",
        "se": "Sus ii leat mobiilanummir dahje e-poasta maid sáhttá geavahit",
        "en": "Has no mobile number or e-mail address that can be used",
    },
    "protected": {
        "nb": "Adressen er skjermet og blir aldri trykket",
        "nn": "Adressa er skjerma og blir aldri trykt",
        "se": "Čujuhus lea suodjaluvvon iige goassige deaddiluvvo",
        "en": "The address is protected and is never printed",
    },
    "returned": {
        "nb": "Brev har kommet i retur",
        "nn": "Brev har kome i retur",
        "se": "Reivvet leat máhccan",
        "en": "Mail has been returned",
    },
    "emigrated": {
        "nb": "Har flyttet fra Norge",
        "nn": "Har flytta frå Noreg",
        "se": "Lea fárren eret Norggas",
        "en": "Has moved from Norway",
    },
    "no-address": {
        "nb": "Har ingen adresse i folkeregisteret",
        "nn": "Har inga adresse i folkeregisteret",
        "se": "Sus ii leat čujuhus álbmotregistaris",
        "en": "Has no address in the population register",
    },
    "dead": {
        "nb": "Pasienten er død",
        "nn": "Pasienten er død",
        "se": "Pasieanta lea jápmán",
        "en": "The patient has died",
    },
}
"""Why this channel, for staff (LET-02)."""

_ASK_TO_BE_DIGITAL = {
    "nb": "Du kan få brev digitalt ved å logge inn her og legge inn mobilnummeret ditt på norge.no.",
    "nn": "Du kan få brev digitalt ved å logge inn her og leggje inn mobilnummeret ditt på norge.no.",
    "se": "Don sáhtát oažžut reivviid digitálalaččat go logget sisa dáppe ja čálát mobiilanummirat norge.no:i.",
    "en": "You can get letters digitally by logging in here and adding your mobile number at norge.no.",
}


def _paper(nb: str, nn: str, se: str, en: str) -> Mapping[str, str]:
    """A reason for paper, followed by what the patient may do about it."""
    said = {"nb": nb, "nn": nn, "se": se, "en": en}
    return {language: f"{text} {_ASK_TO_BE_DIGITAL[language]}" for language, text in said.items()}


PATIENT_REASONS: Texts = {
    "digital": {
        "nb": "Du bruker digitale tjenester. Derfor kom brevet her.",
        "nn": "Du bruker digitale tenester. Derfor kom brevet her.",
        "se": "Don geavahat digitála bálvalusaid. Danne reive bođii deike.",
        "en": "You use the digital services. That is why the letter came here.",
    },
    "child-digital": {
        "nb": "Barnet er under 16 år, og en forelder bruker digitale tjenester. Derfor kom brevet her.",
        "nn": "Barnet er under 16 år, og ein forelder bruker digitale tenester. Derfor kom brevet her.",
        "se": "Mánná lea vuollel 16 jagi, ja váhnen geavaha digitála bálvalusaid. Danne reive bođii deike.",
        "en": "The child is under 16, and a parent uses the digital services. That is why the letter came here.",
    },
    "youth-digital": {
        "nb": "Behandleren din har bestemt at du kan lese brev om henvisningen her.",
        "nn": "Behandlaren din har bestemt at du kan lese brev om tilvisinga her.",
        "se": "Du dikšu lea mearridan ahte sáhtát lohkat reivviid čujuheami birra dáppe.",
        "en": "Your clinician has decided that you can read letters about the referral here.",
    },
    "parent-at-home": {
        "nb": "Brevet kom her og går også i posten, så en forelder på barnets adresse får det.",
        "nn": "Brevet kom her og går òg i posten, så ein forelder på adressa til barnet får det.",
        "se": "Reive bođii deike ja boahtá maid poasttas, vai váhnen máná čujuhusas oažžu dan.",
        "en": "The letter came here and is also posted, so that a parent at the child's address gets it.",
    },
    "child-on-paper": {
        "nb": "Ingen som kan lese for barnet, bruker digitale tjenester. Derfor kom brevet i posten.",
        "nn": "Ingen som kan lese for barnet, bruker digitale tenester. Derfor kom brevet i posten.",
        "se": "Ii oktage gii sáhttá lohkat máná ovddas, geavat digitála bálvalusaid. Danne reive bođii poasttas.",
        "en": "Nobody who may read for the child uses the digital services. That is why the letter came by post.",
    },
    "referral-not-assessed": {
        "nb": "Brev til deg som er 12–15 år, kommer på papir til behandleren har vurdert hvem som kan lese dem her.",
        "nn": "Brev til deg som er 12–15 år, kjem på papir til behandlaren har vurdert kven som kan lese dei her.",
        "se": "Reivvet dutnje gii leat 12–15 jagi, bohtet báberis dassážii go dikšu lea árvvoštallan gii oažžu lohkat "
        "daid dáppe.",
        "en": "Letters to you who are 12–15 come on paper until the clinician has assessed who may read them here.",
    },
    "youth-on-paper": {
        "nb": "Behandleren din har bestemt at brev om henvisningen kommer til deg i posten.",
        "nn": "Behandlaren din har bestemt at brev om tilvisinga kjem til deg i posten.",
        "se": "Du dikšu lea mearridan ahte reivvet čujuheami birra bohtet dutnje poasttas.",
        "en": "Your clinician has decided that letters about the referral come to you by post.",
    },
    "no-paper": {
        "nb": "Brevet er ikke sendt. Avdelingen tar kontakt.",
        "nn": "Brevet er ikkje sendt. Avdelinga tek kontakt.",
        "se": "Reive ii leat sáddejuvvon. Ossodat váldá oktavuođa.",
        "en": "The letter has not been sent. The ward will get in touch.",
    },
    "withheld": {
        "nb": "Brevet er ikke sendt. Avdelingen tar kontakt.",
        "nn": "Brevet er ikkje sendt. Avdelinga tek kontakt.",
        "se": "Reive ii leat sáddejuvvon. Ossodat váldá oktavuođa.",
        "en": "The letter has not been sent. The ward will get in touch.",
    },
    "soon": {
        "nb": "Timen er snart. Derfor kom brevet både her og i posten.",
        "nn": "Timen er snart. Derfor kom brevet både her og i posten.",
        "se": "Diibmu lea fargga. Danne reive bođii sihke deike ja poasttas.",
        "en": "The appointment is soon. That is why the letter came both here and by post.",
    },
    "mailbox": {
        "nb": "Du har digital postkasse. Derfor kom brevet dit.",
        "nn": "Du har digital postkasse. Derfor kom brevet dit.",
        "se": "Dus lea digitála poastaboksa. Danne reive bođii dohko.",
        "en": "You have a digital mailbox. That is why the letter came there.",
    },
    "address-wrong": {
        "nb": "Et brev til deg kom i retur. Derfor kom dette brevet her. Si fra til folkeregisteret om ny adresse.",
        "nn": "Eit brev til deg kom i retur. Derfor kom dette brevet her. Sei frå til folkeregisteret om ny adresse.",
        "se": "Reive dutnje máhcai. Danne dát reive bođii deike. Dieđit rivttes čujuhusa álbmotregistarii.",
        "en": "A letter to you was returned. So this one came here. Tell the population register your address.",
    },
    "reserved": {
        "nb": "Du har reservert deg mot digital post. Derfor kom brevet i posten. Du kan endre det på norge.no.",
        "nn": "Du har reservert deg mot digital post. Derfor kom brevet i posten. Du kan endre det på norge.no.",
        "se": "Don leat biehttalan digitála poastta. Danne reive bođii poasttas. Sáhtát rievdadit dan norge.no:s.",
        "en": "You have opted out of digital mail. That is why the letter came by post. You can change it at norge.no.",
    },
    "declined": {
        "nb": "Du har sagt nei til brev her. Derfor kom brevet i posten. Du kan endre det under «Mine sperringer».",
        "nn": "Du har sagt nei til brev her. Derfor kom brevet i posten. Du kan endre det under «Mine sperringar».",
        "se": "Don leat biehttalan reivviid dáppe. Danne reive bođii poasttas. "
        "Sáhtát rievdadit dan «Mu hehttemat» vuolde.",
        "en": "You have said no to letters here. That is why it came by post. You can change it under “My blocks”.",
    },
    "not-user": _paper(
        "Du hadde ikke tatt i bruk digitale tjenester. Derfor kom brevet i posten.",
        "Du hadde ikkje teke i bruk digitale tenester. Derfor kom brevet i posten.",
        "Don it lean váldán digitála bálvalusaid atnui. Danne reive bođii poasttas.",
        "You had not started to use the digital services. That is why the letter came by post.",
    ),
    "not-logged-in": _paper(
        "Du hadde ikke logget inn på lenge. Derfor kom brevet i posten.",
        "Du hadde ikkje logga inn på lenge. Derfor kom brevet i posten.",
        "Don it lean logget sisa guhkes áigái. Danne reive bođii poasttas.",
        "You had not logged in for a long time. That is why the letter came by post.",
    ),
    "not-notifiable": _paper(
        "Vi manglet et mobilnummer eller en e-post å varsle deg på. Derfor kom brevet i posten.",
        "Vi mangla eit mobilnummer eller ein e-post å varsle deg på. Derfor kom brevet i posten.",
        "Mis váillui mobiilanummir dahje e-poasta gosa dieđihit. Danne reive bođii poasttas.",
        "We had no mobile number or e-mail address to notify. That is why the letter came by post.",
    ),
    "protected": {
        "nb": "Adressen din er skjermet. Derfor trykker vi den ikke. Avdelingen tar kontakt.",
        "nn": "Adressa di er skjerma. Derfor trykkjer vi ho ikkje. Avdelinga tek kontakt.",
        "se": "Du čujuhus lea suodjaluvvon. Danne mii eat deaddil dan. Ossodat váldá oktavuođa.",
        "en": "Your address is protected. That is why we do not print it. The ward will get in touch.",
    },
    "returned": {
        "nb": "Brev til deg har kommet i retur. Meld fra til folkeregisteret om riktig adresse.",
        "nn": "Brev til deg har kome i retur. Meld frå til folkeregisteret om rett adresse.",
        "se": "Reivvet dutnje leat máhccan. Dieđit rivttes čujuhusa álbmotregistarii.",
        "en": "Mail to you has been returned. Tell the population register your address.",
    },
    "emigrated": {
        "nb": "Folkeregisteret sier at du har flyttet fra Norge. Avdelingen tar kontakt.",
        "nn": "Folkeregisteret seier at du har flytta frå Noreg. Avdelinga tek kontakt.",
        "se": "Álbmotregistara mielde don leat fárren eret Norggas. Ossodat váldá oktavuođa.",
        "en": "The population register says that you have moved from Norway. The ward will get in touch.",
    },
    "no-address": {
        "nb": "Folkeregisteret har ingen adresse til deg. Avdelingen tar kontakt.",
        "nn": "Folkeregisteret har inga adresse til deg. Avdelinga tek kontakt.",
        "se": "Álbmotregistaris ii leat du čujuhus. Ossodat váldá oktavuođa.",
        "en": "The population register has no address for you. The ward will get in touch.",
    },
    "dead": {
        "nb": "Brevet ble ikke sendt.",
        "nn": "Brevet blei ikkje sendt.",
        "se": "Reive ii sáddejuvvon.",
        "en": "The letter was not sent.",
    },
}
"""Why this channel, for the patient or the one who acts for them: the page of the letter."""

DECISIONS: Texts = {
    "unopened": {
        "nb": "Ikke åpnet innen fristen",
        "nn": "Ikkje opna innan fristen",
        "se": "Ii leat rahppojuvvon áigemeari sisa",
        "en": "Not opened in time",
    },
    "on-paper": {
        "nb": "Skal på papir",
        "nn": "Skal på papir",
        "se": "Galgá báberis",
        "en": "To go on paper",
    },
    "opened": {
        "nb": "Åpnet, så papir trengs ikke",
        "nn": "Opna, så papir trengst ikkje",
        "se": "Rahppojuvvon, ii dárbbaš báhpira",
        "en": "Opened, so no paper is needed",
    },
    "not-due": {
        "nb": "Fristen er ikke ute",
        "nn": "Fristen er ikkje ute",
        "se": "Áigemearri ii leat vel nohkan",
        "en": "The deadline has not passed",
    },
    "appointment-changed": {
        "nb": "Timen er endret eller avlyst siden. Brevet må erstattes",
        "nn": "Timen er endra eller avlyst sidan. Brevet må bytast ut",
        "se": "Diibmu lea maŋŋá rievdaduvvon dahje šluhttejuvvon. Reive ferte buhttejuvvot ođđasiin",
        "en": "The appointment has since been changed or cancelled. The letter must be replaced",
    },
    "no-way": {
        "nb": "Kan ikke sendes i posten",
        "nn": "Kan ikkje sendast i posten",
        "se": "Ii sáhte sáddejuvvot poasttas",
        "en": "Cannot be posted",
    },
    "already-on-paper": {
        "nb": "Er alt på papir",
        "nn": "Er alt på papir",
        "se": "Lea juo báberis",
        "en": "Already on paper",
    },
    "withdrawn": {
        "nb": "Trukket tilbake",
        "nn": "Trekt tilbake",
        "se": "Gessojuvvon ruovttoluotta",
        "en": "Withdrawn",
    },
    "replaced": {
        "nb": "Erstattet av et nytt brev",
        "nn": "Bytt ut med eit nytt brev",
        "se": "Buhttejuvvon ođđa reivviin",
        "en": "Replaced by a new letter",
    },
    "not-sent": {
        "nb": "Ikke sendt ennå",
        "nn": "Ikkje sendt enno",
        "se": "Ii leat vel sáddejuvvon",
        "en": "Not sent yet",
    },
    "failed": {
        "nb": "Feilet. En ansatt må se på det",
        "nn": "Feila. Ein tilsett må sjå på det",
        "se": "Filtii. Bargi ferte geahččat dan",
        "en": "Failed. A member of staff must look at it",
    },
}
"""Why a letter is posted or not: the cause of a change of state, for staff."""

NEXT_STEPS: Texts = {
    "to-be-sent": {
        "nb": "Send brevet",
        "nn": "Send brevet",
        "se": "Sádde reivve",
        "en": "Send the letter",
    },
    "send": {
        "nb": "Sendes",
        "nn": "Blir sendt",
        "se": "Sáddejuvvo",
        "en": "Will be sent",
    },
    "notify": {
        "nb": "Pasienten varsles",
        "nn": "Pasienten blir varsla",
        "se": "Pasieanta dieđihuvvo",
        "en": "The patient will be notified",
    },
    "remind": {
        "nb": "Påminnelse hvis uåpnet",
        "nn": "Påminning om uopna",
        "se": "Muittuhus jus ii leat rahppojuvvon",
        "en": "Reminder if unopened",
    },
    "print-unopened": {
        "nb": "Trykkes hvis uåpnet",
        "nn": "Blir trykt om uopna",
        "se": "Deaddiluvvo jus ii leat rahppojuvvon",
        "en": "Printed if unopened",
    },
    "print": {
        "nb": "Til trykkeriet",
        "nn": "Til trykkeriet",
        "se": "Deaddileapmái",
        "en": "To the printer",
    },
    "wait-for-printer": {
        "nb": "Venter på at trykkeriet melder fra",
        "nn": "Ventar på melding frå trykkeriet",
        "se": "Vuordá dieđu deaddileames",
        "en": "Waiting to hear from the printer",
    },
    "wait-for-post": {
        "nb": "Venter på at brevet blir postlagt",
        "nn": "Ventar på at brevet blir postlagt",
        "se": "Vuordá ahte reive poastii biddjojuvvo",
        "en": "Waiting to be posted",
    },
    "staff": {
        "nb": "Avdelingen må ta kontakt",
        "nn": "Avdelinga må ta kontakt",
        "se": "Ossodat ferte váldit oktavuođa",
        "en": "The ward must get in touch",
    },
}
"""What comes next, for staff (LET-50)."""
