"""All texts of the page, for the template and for its scripts, in English; clock/locale has the translations.

They are in one place, so that a test can tell whether a language is complete. The scripts replace what is in braces,
and translations keep it as it is.
"""

from typing import Final

from django.utils.translation import gettext_lazy as _

# The texts of the scripts. The page carries them as data.
SCRIPT_TEXTS: Final = {
    "title": _("Clock"),
    # The state. It may stand before a comma, so it starts with a lower-case letter.
    "connecting": _("connecting"),
    "live": _("live"),
    "late": _("late: signal delayed"),
    "holdover_since": _("no signal since {since}: free-running"),
    "holdover": _("no signal: free-running"),
    "stopped": _("stopped: time unknown"),
    "stopped_since": _("stopped: time unknown, no signal since {since}"),
    "refused": _("refused: {reason}"),
    "stepped": _("the clock was set"),
    "unsynchronised": _("the server's clock is not synchronised"),
    "synchronisation_unknown": _("unknown whether the server's clock is synchronised"),
    "bound": _("± {bound} ms"),
    "bound_growing": _("± {bound} ms, growing"),
    "bound_unknown": _("± unknown"),
    "ahead": _("shown {offset} ms ahead"),
    "behind": _("shown {offset} ms behind"),
    "spoken": _("{time}, {date}, {zone}. {state}"),
    # Failures.
    "full_screen_refused": _("The browser refused full screen: {reason}"),
    "address_refused": _("The browser refused to update the address: {reason}"),
    "not_working": _("Not working in this browser: {feature} ({reason})."),
    "unreachable": _("The server is unreachable. Try again later."),
    # Whether the screen stays on.
    "awake_on": _("The screen stays on."),
    "awake_off": _("The screen may turn off."),
    "awake_https": _("The screen may turn off: keeping it on requires HTTPS."),
    "awake_unsupported": _("The screen may turn off: this browser cannot keep it on."),
    "awake_refused": _("The screen may turn off: the browser refused to keep it on ({reason})."),
    # Settings that the browser may fail at.
    "tz": _("Time zones"),
    "h": _("Hours"),
    "date": _("Date"),
    "awake": _("Keep the screen on"),
    "lang": _("Language"),
    "rate_now": _("Frames per second now: {rate}"),
    # Problems with the options in the address.
    "invalid": _("{name}={value} is invalid. Valid: {valid}."),
    "unknown_option": _("Unknown option: {name}."),
    "repeated": _("{name} is given more than once; the first one is used."),
    "more_problems": _("And {count} more."),
    "valid_tz": _("at most {maximum} names of time zones, such as Europe/Berlin"),
    "valid_label": _("at most {maximum} characters, and no more labels than clocks"),
    "valid_toggle": _("on or off"),
    "valid_theme": _(
        "light, dark, contrast, or the colours of digits and background, such as fff-003366, with a contrast of at"
        " least 4.5"
    ),
    "valid_number": _("a whole number from {minimum} to {maximum}"),
    "valid_choice": _("one of {choices}"),
}

# All texts; those that follow are in the template only.
TEXTS: Final = SCRIPT_TEXTS | {
    "javascript": _("This clock requires JavaScript."),
    # Actions.
    "speak": _("Say the time"),
    "settings": _("Settings"),
    "full_screen": _("Full screen"),
    "close": _("Close"),
    "reset": _("Reset"),
    "embed": _("This clock without buttons, for OBS and iframes"),
    # Settings.
    "tz_hint": _("Names such as Europe/Berlin, separated by commas; empty for the server's time zone"),
    "label": _("Labels"),
    "label_hint": _("One per clock, each on its own line"),
    "h_12": _("1 to 12"),
    "h_24": _("0 to 23"),
    "seconds": _("Seconds"),
    "hundredths": _("Hundredths"),
    "mirror": _("Mirrored"),
    "theme": _("Colours"),
    "theme_auto": _("Same as this device"),
    "theme_light": _("Light"),
    "theme_dark": _("Dark"),
    "theme_contrast": _("High contrast"),
    "theme_custom": _("Custom colours"),
    "digits": _("Digits"),
    "background": _("Background"),
    "transparent": _("Transparent background"),
    "size": _("Size (%)"),
    "offset": _("Show ahead by (ms)"),
    "rate": _("Frames per second"),
    "rate_auto": _("Automatic"),
    "lang_auto": _("Same as this browser"),
}
