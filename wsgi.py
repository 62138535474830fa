"""What a WSGI server loads: `wsgi:application`."""

from dingkao.app import create_app
from dingkao.settings import Settings

application = create_app(Settings.from_environment())
