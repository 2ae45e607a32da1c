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


class TenantNotFound(NotFound):
    """There is no such tenant, so it has no quota to read or to set."""

    code = "compute.tenant_not_found"


class NoHypervisor(Unavailable):
    """Nothing on this deployment can run a machine; the message says what to install."""

    code = "compute.no_hypervisor"


class NotTriedYet(Unavailable):
    """A hypervisor is there, and a small guest is being booted to see whether it works; ask again in a few seconds."""

    code = "compute.not_tried_yet"


class NoSuchMedium(Unavailable):
    """This deployment's hypervisor cannot install machines from ISO images; make one from a template."""

    code = "compute.no_iso"


class ActionDoesNotFit(Conflict):
    """The machine is in no state for this action; the message says in which it is."""

    code = "compute.action_does_not_fit"


class OperationNotFound(NotFound):
    """There is no such operation in the caller's tenant."""

    code = "compute.operation_not_found"


class VmStale(Stale):
    """The machine was changed since the version that `If-Match` names; read it again."""

    code = "compute.stale"


class ChangedMeanwhile(Conflict):
    """Somebody else changed the machine at the same moment; try again."""

    code = "compute.changed_meanwhile"
