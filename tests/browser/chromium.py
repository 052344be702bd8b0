"""Headless Chromium: where it is, how it starts, and how a page looks in it."""
from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
DRIVER = shutil.which('chromedriver')
needs_chromium = pytest.mark.skipif(not (CHROMIUM and DRIVER),
                                    reason='no Chromium; Debian has it: apt-get install chromium chromium-driver')
FLAGS = ('--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-dev-shm-usage',
         '--disable-background-networking', '--disable-component-update', '--disable-sync', '--hide-scrollbars')
Browser = Any


def started(profile: Path) -> Browser:
    """A browser with a profile of its own, which logs what the page says and what it asks for."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f'--user-data-dir={profile}'):
        options.add_argument(flag)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    return webdriver.Chrome(options=options, service=Service(DRIVER))


def seen_as(chromium: Browser, width: int, dark: bool = False) -> None:
    """On a screen of so many pixels in width, of a system that is light or dark."""
    chromium.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', {
        'width': width, 'height': 900, 'deviceScaleFactor': 1, 'mobile': width < 600})
    # A page that still glides to where it scrolls is not where a click lands.
    chromium.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': [
        {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'},
        {'name': 'prefers-reduced-motion', 'value': 'reduce'}]})


def forget(chromium: Browser) -> None:
    """Drop what the pages before have logged and asked for."""
    chromium.get_log('browser')
    chromium.get_log('performance')


def open_at(chromium: Browser, address: str, width: int, dark: bool = False) -> None:
    """Open a page, seen as :func:`seen_as` says."""
    seen_as(chromium, width, dark)
    chromium.get(address)


def shoot(chromium: Browser, file: Path) -> None:
    """A picture of the whole page, up to 9,000 pixels of it."""
    width, height = chromium.execute_script('return [innerWidth, document.documentElement.scrollHeight]')
    picture = chromium.execute_cdp_cmd('Page.captureScreenshot', {'captureBeyondViewport': True, 'clip': {
        'x': 0, 'y': 0, 'width': width, 'height': min(height, 9000), 'scale': 1}})
    file.write_bytes(base64.b64decode(picture['data']))
