"""What can go wrong with a machine."""

from chassis.errors import Conflict, Forbidden, Invalid, NotFound, Stale, Unavailable


class VmNotFound(NotFound):
    """There is no such machine in the caller's tenant."""

    code = "compute.vm_not_found"


class TemplateNotFound(NotFound):
    """There is no such template, or it belongs to another tenant."""

    code = "compute.template_not_found"


class NoSuchTemplate(Invalid):
    """The machine is to be made from a template that the caller cannot see; list the templates to find one."""

    code = "compute.no_such_template"


class BadSource(Invalid):
    """The source does not fit its type: a template needs `template_id`, an iso needs `iso_url`, and not the other."""

    code = "compute.bad_source"


class TooSmall(Invalid):
    """The template needs more memory or disk than was asked for."""

    code = "compute.too_small"


class QuotaExceeded(Conflict):
    """The tenant would have more than its quota; delete a machine or ask for less."""

    code = "compute.quota_exceeded"


class QuotaStale(Stale):
    """The quota was changed since the version that `If-Match` names; read it again."""

    code = "compute.quota_stale"


class OtherTenantsQuota(Forbidden):
    """Quotas of other tenants are read, and every quota is set, by the platform's administrators alone."""

    code = "compute.other_tenants_quota"


class NoHypervisor(Unavailable):
    """Nothing on this deployment can run a machine; the message says what to install."""

    code = "compute.no_hypervisor"


class NoDriver(Unavailable):
    """A hypervisor is installed, but this release has no driver for it, so it cannot run machines."""

    code = "compute.no_driver"


class VmStale(Stale):
    """The machine was changed since the version that `If-Match` names; read it again."""

    code = "compute.stale"


class ChangedMeanwhile(Conflict):
    """Somebody else changed the machine at the same moment; try again."""

    code = "compute.changed_meanwhile"
