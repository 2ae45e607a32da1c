"""Every way in which the gitops doors refuse. Codes are permanent."""

from chassis.errors import BadRequest, Conflict, Invalid, NotFound, Stale, Unauthenticated


class NothingThere(NotFound):
    """There is no such thing in this collection, or your ACL rights do not reach it. We do not say which."""

    code = "iam.gitops_not_found"


class BadKey(Invalid):
    """The id does not have the form that ids of this collection have: prefix, then a-z A-Z 0-9 . _ -."""

    code = "iam.gitops_bad_id"


class KeyTaken(Conflict):
    """Something live has this id, or one that differs only in case."""

    code = "iam.gitops_id_taken"


class HashStale(Conflict):
    """The thing was changed since the `hash_code` that was sent was read."""

    code = "iam.gitops_hash_stale"


class VersionStale(Stale):
    """The thing was changed since the ETag in `If-Match` was read."""

    code = "iam.gitops_stale"


class BadAcl(Invalid):
    """The ACL is too long, names somebody unknown, or gives bits that do not exist."""

    code = "iam.gitops_bad_acl"


class BadField(Invalid):
    """Things of this collection have no such field, or need one that was not sent, or it names nothing that exists."""

    code = "iam.gitops_bad_field"


class GodmodeNeeded(Unauthenticated):
    """Debugging is for those who hold adm_godmode."""

    code = "iam.godmode_needed"


class BadCollectionName(BadRequest):
    """Names that begin with an underscore belong to the system and are not shown."""

    code = "iam.bad_collection_name"


class NoSuchCollection(NotFound):
    """There is no such collection."""

    code = "iam.no_such_collection"


def nothing(needed: str = "") -> NothingThere:
    """Return the one answer to whoever asks for what is not there, or not theirs: always in the same words.

    `needed` is told to nobody but the audit log: the permission that was lacking, empty where nothing is.
    """
    return NothingThere("there is no such thing, or you may not do this to it", needed=needed)
