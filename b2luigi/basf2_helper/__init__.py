"""An address of b2luigi 1.x: `b2luigi.core.dropped` names what replaces it."""

from b2luigi.core.dropped import refuse_import

refuse_import(__name__)
