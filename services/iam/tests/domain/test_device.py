import pytest

from iam.domain.device import device

MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) "


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Firefox on Linux",
        ),
        (MAC + "Chrome/140.0.0.0 Safari/537.36", "Chrome on macOS"),
        (MAC + "Chrome/140.0.0.0 Safari/537.36 Edg/140.0", "Edge on macOS"),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1",
            "Safari on iPhone",
        ),
        ("curl/8.5.0", "curl"),
        ("python-httpx/0.28", "Python"),
        ("switchyard-agent/2.0 (Linux)", "switchyard-agent on Linux"),
        ("", "unknown"),
        ("/", "unknown"),
        ("x" * 512, "x" * 40),
    ],
)
def test_a_user_agent_is_said_in_a_few_words(agent, name):
    assert device(agent) == name
