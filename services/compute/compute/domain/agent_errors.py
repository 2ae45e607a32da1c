"""What can go wrong with an agent."""

from chassis.errors import Conflict, Forbidden, Invalid, NotFound, Stale


class AgentNotFound(NotFound):
    """There is no such agent, or it belongs to another organization."""

    code = "compute.agent_not_found"


class CardNotFound(NotFound):
    """The agent has no card yet; give it one with PATCH (`card`)."""

    code = "compute.card_not_found"


class NoSuchAgent(Invalid):
    """The request names an agent that is not there, or that the organization may not use; list the agents."""

    code = "compute.no_such_agent"


class AgentTypeTaken(Conflict):
    """The owner has an active agent of this type already; change or deactivate that one."""

    code = "compute.agent_type_taken"


class AgentNameTaken(Conflict):
    """The owner has an active agent of this name, or of one that looks like it, already."""

    code = "compute.agent_name_taken"


class BadAgentName(Invalid):
    """The name holds what nobody sees, or nothing that anybody does."""

    code = "compute.bad_agent_name"


class FreeAgentForbidden(Forbidden):
    """Agents that are free for all are made, changed and deactivated by the platform's administrators."""

    code = "compute.free_agent_forbidden"


class AgentStale(Stale):
    """The agent was changed since the version that `If-Match` names; read it again."""

    code = "compute.agent_stale"
