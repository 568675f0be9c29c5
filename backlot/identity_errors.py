"""The errors of the IdentityLens app: its codes, its words in Turkish and English, and which of ours each one is."""

import re
from dataclasses import dataclass

from backlot import errors
from backlot.errors import BacklotError

#: What the app's old server spoke, and what can be asked for by `Accept-Language`.
DEFAULT_LANGUAGE, LANGUAGES = "tr", ("tr", "en")

_RANGE = re.compile(r"\s*([A-Za-z*]{1,8})[^;,]*(?:;\s*q=([01](?:\.[0-9]{1,3})?))?\s*")

#: A sentence by language.
Words = dict[str, str]


@dataclass(frozen=True)
class IdentityError:
    """An entry of the app's catalogue.

    Args:
        code: that the app decides by.
        message: what happened.
        action: what the person can do.
        retry: whether the app offers to try again.
    """

    code: int
    message: Words
    action: Words
    retry: bool

    def answer(self, language: str) -> dict[str, object]:
        """Return it as the app reads it."""
        return {
            "code": self.code,
            "message": self.message[language],
            "action": self.action[language],
            "retry": self.retry,
        }


_TRY_AGAIN: Words = {"tr": "Lütfen tekrar deneyin", "en": "Please try again"}
_BETTER_LIGHT: Words = {"tr": "Daha iyi ışıklandırma ile tekrar deneyin", "en": "Try again with better lighting"}

NO_FACE = IdentityError(
    1001,
    {"tr": "Referans görüntüde yüz algılanamadı", "en": "No face was found in the reference picture"},
    {
        "tr": "Lütfen yüzünüzün net göründüğü bir fotoğraf çekin",
        "en": "Please take a photo in which your face is clearly visible",
    },
    retry=False,
)
LOW_QUALITY = IdentityError(
    1002,
    {"tr": "Görüntü kalitesi yetersiz", "en": "The picture's quality is too low"},
    _BETTER_LIGHT,
    retry=True,
)
TIMED_OUT = IdentityError(
    2001, {"tr": "İşlem zaman aşımına uğradı", "en": "The operation timed out"}, _TRY_AGAIN, retry=True
)
THROTTLED = IdentityError(
    2002,
    {"tr": "İstek limiti aşıldı", "en": "Too many requests"},
    {"tr": "Lütfen birkaç saniye bekleyin", "en": "Please wait a few seconds"},
    retry=True,
)
UNSAFE = IdentityError(
    3001,
    {"tr": "İçerik güvenlik kontrolünden geçemedi", "en": "The content did not pass the safety check"},
    {"tr": "Lütfen farklı bir sahne deneyin", "en": "Please try a different scene"},
    retry=False,
)
UNKNOWN = IdentityError(
    4001, {"tr": "Beklenmeyen bir hata oluştu", "en": "An unexpected error occurred"}, _TRY_AGAIN, retry=True
)

CATALOGUE = (NO_FACE, LOW_QUALITY, TIMED_OUT, THROTTLED, UNSAFE, UNKNOWN)

#: What helps against a picture that cannot be used, by `FaceUnfit`'s `problem`.
_REMEDIES: dict[str, Words] = {
    "dark": _BETTER_LIGHT,
    "bright": {"tr": "Daha yumuşak bir ışıkta tekrar deneyin", "en": "Try again in softer light"},
    "blurred": {"tr": "Telefonu sabit tutarak tekrar deneyin", "en": "Hold the phone still and try again"},
    "small": {
        "tr": "Yüzünüzü kameraya yaklaştırarak tekrar deneyin",
        "en": "Bring your face closer to the camera and try again",
    },
    "unread": {"tr": "Fotoğrafı yeniden çekin", "en": "Take the photo again"},
}

#: Ours by theirs; whatever is not here is `UNKNOWN`.
_MEANINGS: dict[type[BacklotError], IdentityError] = {
    errors.NoFaceFound: NO_FACE,
    errors.FaceUnfit: LOW_QUALITY,
    errors.ImageUnreadable: LOW_QUALITY,
    errors.ImageTooLarge: LOW_QUALITY,
    errors.ImageShapeRefused: LOW_QUALITY,
    errors.TimedOut: TIMED_OUT,
    errors.ProviderTimedOut: TIMED_OUT,
    errors.ModelTimedOut: TIMED_OUT,
    errors.FaceForgotten: TIMED_OUT,
    errors.ProviderThrottled: THROTTLED,
    errors.ContentRefused: UNSAFE,
}


def identity_error(error: type[BacklotError], problem: object = None) -> IdentityError:
    """Return the app's error for one of ours.

    Args:
        problem: of a `FaceUnfit`, which says what helps.
    """
    meaning = _MEANINGS.get(error, UNKNOWN)
    action = _REMEDIES.get(str(problem), meaning.action) if meaning is LOW_QUALITY else meaning.action
    return IdentityError(meaning.code, meaning.message, action, meaning.retry)


def language(accepted: str | None) -> str:
    """Choose a language: the most wanted of those that there are, the first of equals; Turkish if none is wanted.

    Args:
        accepted: the header `Accept-Language`.
    """
    wanted = [match for part in (accepted or "").split(",") if (match := _RANGE.fullmatch(part))]
    ranked = sorted(wanted, key=lambda match: -float(match[2] or 1))
    names = [match[1].lower() for match in ranked if float(match[2] or 1) > 0]
    return next((name for name in names if name in LANGUAGES), DEFAULT_LANGUAGE)
