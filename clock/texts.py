"""All words of the page, for the template and for its scripts, in the reader's language.

They stand here and nowhere else, so that one look tells whether a language is complete. What is in braces is filled in
by the scripts and stays as it is.
"""

from typing import Final

from django.utils.translation import gettext_lazy as _

# What the scripts say. It goes into the page as data.
SCRIPT_WORDS: Final = {
    "title": _("Clock"),
    # What the time is worth. The first four stand alone or before a comma, in lower case.
    "connecting": _("connecting"),
    "live": _("live"),
    "late": _("late: no tick just now"),
    "holdover": _("no ticks since {since}: counting on"),
    "holdover_from_start": _("no ticks: counting on"),
    "stopped": _("stopped: the time is not known"),
    "stopped_since": _("stopped: the time is not known, no ticks since {since}"),
    "refused": _("refused: {reason}"),
    "stepped": _("the clock was set"),
    "unsynchronised": _("the server's clock is not synchronised"),
    "synchronisation_unknown": _("whether the server's clock is synchronised is not known"),
    "bound": _("± {bound} ms"),
    "bound_growing": _("± {bound} ms, growing"),
    "bound_unknown": _("± unknown"),
    "ahead": _("shown {offset} ms ahead"),
    "behind": _("shown {offset} ms behind"),
    "spoken": _("{time}, {date}, {zone}. {state}"),
    # What could not be done.
    "full_screen_refused": _("The browser refused full screen: {reason}"),
    "address_refused": _("The browser refused to write the address: {reason}"),
    "not_working": _("Not working here: {what} ({reason})."),
    "unreachable": _("The server cannot be reached; try again later."),
    # Whether the screen stays on.
    "awake_on": _("The screen stays on."),
    "awake_off": _("The screen may go off."),
    "awake_https": _("The screen may go off: browsers keep it on over HTTPS only."),
    "awake_absent": _("The screen may go off: this browser cannot keep it on."),
    "awake_refused": _("The screen may go off: the browser refused to keep it on ({reason})."),
    # The settings that a browser may fail at.
    "tz": _("Time zones"),
    "h": _("Hours"),
    "date": _("Date"),
    "awake": _("Keep the screen on"),
    "lang": _("Language"),
    # What is wrong with an option of the address.
    "cannot_use": _("{name}={value} cannot be used. It takes: {accepts}."),
    "unknown_option": _("There is no option {name}."),
    "given_twice": _("{name} is given more than once; the first one counts."),
    "more_problems": _("And {count} more."),
    "takes_tz": _("up to {most} names of time zones, such as Europe/Berlin"),
    "takes_label": _("up to {most} characters, and no more labels than clocks"),
    "takes_switch": _("on or off"),
    "takes_theme": _(
        "light, dark, contrast, or the colours of figures and background, such as fff-003366, with a contrast of at"
        " least 4.5"
    ),
    "takes_number": _("a whole number from {least} to {most}"),
    "takes_one": _("one of {choices}"),
}

# All of them. The rest stands in the template alone.
WORDS: Final = SCRIPT_WORDS | {
    "javascript": _("This clock needs JavaScript to tell the time."),
    # What can be done.
    "say": _("Say the time"),
    "settings": _("Settings"),
    "full_screen": _("Full screen"),
    "close": _("Close"),
    "reset": _("Reset"),
    "bare": _("This clock without buttons, for OBS and frames"),
    # The settings.
    "tz_hint": _("Names such as Europe/Berlin, with commas between; empty for the clock's own"),
    "label": _("Labels"),
    "label_hint": _("One for each clock, each on a line of its own"),
    "h_12": _("1 to 12"),
    "h_24": _("0 to 23"),
    "seconds": _("Seconds"),
    "hundredths": _("Hundredths"),
    "mirror": _("Mirrored"),
    "theme": _("Colours"),
    "theme_auto": _("As on this device"),
    "theme_light": _("Light"),
    "theme_dark": _("Dark"),
    "theme_contrast": _("High contrast"),
    "theme_own": _("Own colours"),
    "figures": _("Figures"),
    "ground": _("Background"),
    "transparent": _("Transparent background"),
    "size": _("Size (%)"),
    "offset": _("Show ahead by (ms)"),
    "rate": _("Frames per second"),
    "lang_auto": _("As in this browser"),
}
