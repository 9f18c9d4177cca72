"""Makes `twistd hoopproxy` known; holds nothing, because every `twistd` imports it."""

from twisted.application.service import ServiceMaker

hoopproxy = ServiceMaker("hoopproxy", "hoopproxy.service", "Layer-7 access gateway for data residency", "hoopproxy")
