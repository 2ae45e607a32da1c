"""What can go wrong with images and the templates made of them."""

from chassis.errors import Conflict, Forbidden, Invalid


class BadImageUrl(Invalid):
    """The image's address may not be asked: not https, not on the public internet, or no address at all."""

    code = "compute.bad_image_url"


class BadTemplateSource(Invalid):
    """A template is made from an image (`image_url`) or from a machine (`source_vm_id`), and not from both."""

    code = "compute.bad_template_source"


class NoSuchVm(Invalid):
    """The template is to be made from a machine that is not there, or that the caller may not read."""

    code = "compute.no_such_vm"


class VmNotStopped(Conflict):
    """A template is made from a machine that is stopped; stop it first, so that its disk is whole."""

    code = "compute.vm_not_stopped"


class TemplateInUse(Conflict):
    """Machines are made from the template, and their disks hold only what differs from it; delete them first."""

    code = "compute.template_in_use"


class TemplateNotReady(Conflict):
    """The template's image is not there yet, or could not be had; the template says how far it is, and why not."""

    code = "compute.template_not_ready"


class GlobalTemplateForbidden(Forbidden):
    """Templates for all tenants are made and deleted by the platform's administrators."""

    code = "compute.global_template_forbidden"


class TooManyTemplates(Conflict):
    """The tenant has as many templates as a tenant may have; delete one."""

    code = "compute.too_many_templates"
