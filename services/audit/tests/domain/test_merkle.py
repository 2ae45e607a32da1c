"""Trees against the public vectors of the transparency projects, and against a tree made the slow way.

The vectors of proofs are those of transparency-dev/merkle; the eight leaves and the roots of their trees are those that
certificate-transparency has tested with since RFC 6962 (in transparency-dev/merkle: testonly/constants.go). Apache-2.0.
"""

import json
from base64 import b64decode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.domain.merkle import (
    EMPTY,
    Frontier,
    consistency,
    cover,
    folded,
    grown,
    included,
    inclusion,
    leaf_hash,
    node_hash,
    spanned,
)

VECTORS = json.loads(
    (Path(__file__).parents[1] / "vectors/transparency_dev_merkle.json").read_text()
)
LEAVES = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def raw(text):
    return b64decode(text) if text else b""


def hashes(texts):
    return [raw(text) for text in texts or ()]


def test_there_are_vectors_of_both_kinds():
    assert len(VECTORS["inclusion"]) > 90
    assert len(VECTORS["consistency"]) > 90


@pytest.mark.parametrize("case", VECTORS["inclusion"], ids=lambda c: c["desc"])
def test_inclusion_is_judged_as_others_judge_it(case):
    proof = hashes(case["proof"])
    leaf, root = raw(case["leafHash"]), raw(case["root"])
    good = included(leaf, case["leafIdx"], case["treeSize"], proof, root)
    assert good is not case["wantErr"]


@pytest.mark.parametrize("case", VECTORS["consistency"], ids=lambda c: c["desc"])
def test_consistency_is_judged_as_others_judge_it(case):
    old, new = (case["size1"], raw(case["root1"])), (case["size2"], raw(case["root2"]))
    assert grown(old, new, hashes(case["proof"])) is not case["wantErr"]


def test_roots_are_those_of_certificate_transparency():
    tree = Frontier()
    roots = [tree.root().hex()]
    for leaf in LEAVES:
        tree.grow(leaf_hash(bytes.fromhex(leaf)))
        roots.append(tree.root().hex())
    assert roots == ROOTS


def slow(leaves):
    """The definition of RFC 6962, word for word."""
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(slow(leaves[:k]), slow(leaves[k:]))


def tree_of(size):
    leaves = [leaf_hash(bytes([n])) for n in range(size)]
    return leaves, lambda node: slow(leaves[node[1] << node[0] : (node[1] + 1) << node[0]])


SIZES = st.integers(1, 70)


@given(SIZES, st.data())
def test_every_leaf_can_be_proven_and_no_other_in_its_place(size, data):
    leaves, find = tree_of(size)
    index = data.draw(st.integers(0, size - 1))
    proof = [spanned(span, find) for span in inclusion(index, size)]
    assert included(leaves[index], index, size, proof, slow(leaves))
    for other in range(size):
        if other != index:
            assert not included(leaves[index], other, size, proof, slow(leaves))


@given(SIZES, st.data())
def test_every_older_state_can_be_proven_and_no_forged_one(size, data):
    leaves, find = tree_of(size)
    old = data.draw(st.integers(0, size))
    proof = [spanned(span, find) for span in consistency(old, size)]
    before, after = slow(leaves[:old]), slow(leaves)
    assert grown((old, before), (size, after), proof) is (old > 0)
    if old:
        assert not grown((old, leaf_hash(b"forged")), (size, after), proof)


@given(SIZES, st.data())
def test_a_frontier_grows_by_leaves_and_by_whole_nodes(size, data):
    leaves, find = tree_of(size)
    cuts = data.draw(st.lists(st.integers(0, size), max_size=4))
    tree, low = Frontier(), 0
    for high in sorted({*cuts, size}):
        for node in cover(low, high):
            tree.grow(find(node), node[0])
        low = high
    again = Frontier.of(tree.size, tree.packed())
    assert (tree.size, tree.root()) == (size, slow(leaves))
    assert (again.size, again.root()) == (size, slow(leaves))


def test_a_node_stands_only_where_its_level_lets_it():
    tree = Frontier()
    tree.grow(leaf_hash(b""))
    with pytest.raises(ValueError, match="no node of level 1 begins at 1"):
        tree.grow(leaf_hash(b""), 1)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index, size):
    with pytest.raises(ValueError, match="no leaf"):
        inclusion(index, size)


def test_a_tree_does_not_shrink():
    with pytest.raises(ValueError, match="does not grow"):
        consistency(4, 3)
    assert folded([]) == EMPTY
