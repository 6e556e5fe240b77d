"""Exercises of notebook 14: subtraction under encryption, back from whole numbers, an attack's AUC, clipped gradients."""

from typing import Any

import torch

from tl_helpers.lessons.checks import NotYet, a_kind, ask, close, compare, exercise, need, number_from, tensor_from

P, Q = 1_000_003, 1_000_033
N, SQUARE, SECRET = P * Q, (P * Q) ** 2, (P - 1) * (Q - 1)


def encrypt(number: int, noise: int) -> int:
    """Paillier's ciphertext of `number`, under a key that a child could break."""
    return (1 + number % N * N) * pow(noise, N, SQUARE) % SQUARE


def decrypt(cipher: int) -> int:
    """The number in a ciphertext; the upper half stands for numbers below zero."""
    number = (pow(cipher, SECRET, SQUARE) - 1) // N * pow(SECRET, -1, N) % N
    return number if number < N // 2 else number - N


@exercise("14.1", start="Adding was multiplying. What undoes a multiplication modulo n²? `pow(b, -1, n * n)`.")
def subtract(answer: Any) -> str:
    """`answer`: f(a, b, n) -> a ciphertext of the difference of the numbers in the ciphertexts a and b."""
    for first, second in ((200, 55), (55, 200)):
        a, b = encrypt(first, 987_654_321), encrypt(second, 123_456_789)
        found = ask(answer, a, b, N)
        need(
            isinstance(found, int) and not isinstance(found, bool),
            f"a ciphertext is a whole number; this is {a_kind(found)}. `/` does not return one; "
            "`pow(b, -1, n * n)` does.",
        )
        need(found != first - second, "that is the number itself, and here nobody has the key.")
        need(
            found % SQUARE != (a - b) % SQUARE,
            "you subtracted the ciphertexts. The numbers are in their exponents, where a **division** subtracts.",
        )
        need(
            found != a * pow(b, -1, N) % N and found % SQUARE != a * pow(b, -1, N) % SQUARE,
            "the right division, but modulo the wrong number: ciphertexts live modulo **n²**, and so does the inverse.",
        )
        need(
            found % SQUARE != a // b,
            "`//` drops the remainder. Modulo n², a division is a multiplication by the inverse, `pow(b, -1, n * n)`.",
        )
        said = decrypt(found)
        need(said != first + second, f"it decrypts to {said}: that is the sum. Multiply by the **inverse** of b.")
        need(said != second - first, f"it decrypts to {said}: that is b − a. Which of the two has to be inverted?")
        need(said == first - second, f"from the ciphertexts of {first} and {second} you made one of {said}.")
        need(
            0 < found < SQUARE,
            "the number in it is right, but the ciphertext grows with every step. Take it modulo n².",
        )
    return "And a number below zero came out right, too: such numbers are in the upper half of 0 … n − 1."


@exercise("14.2", start="Two steps: a value above `n // 2` stands for `value - n`. Then divide by the unit, `2**bits`.")
def unfix(answer: Any) -> str:
    """`answer`: f(value in 0 … n − 1, bits, n) -> the number that it stands for, a float."""
    n = 2**512 - 569
    whole, bits = round(3.25 * 2**16), 16
    mistakes = [
        (float(whole), "this is still in units of 2⁻¹⁶. Divide by `2**bits`."),
        (whole / bits, "you divided by `bits`. The unit is a power of two: `2**bits`."),
        (whole / (2 * bits), "`2 * bits` is 32; the unit is `2**bits`."),
        (3.0, "3.25 became 3: a whole-number division (`//` or `>>`) drops what comes after the point."),
        (3.25 / 2**bits, "you divided twice. Only a product of two such numbers has the unit squared."),
        (whole * 2.0**bits, "that multiplies by the unit once more. Divide by it."),
    ]
    compare(number_from(ask(answer, whole, bits, n)), 3.25, mistakes, f"{whole} with 16 bits is 3.25.", tolerance=1e-6)
    below = number_from(ask(answer, n - round(1.5 * 2**16), bits, n))
    need(below < 1e6, "−1.5 was stored as n − 98,304, but came out as a huge number. The upper half is below zero.")
    need(
        below > -1e6,
        "−1.5 came out as a huge number below zero. Subtract n while both are whole numbers: "
        "a float keeps 53 bits of 512.",
    )
    need(
        not close(below, 0.0),
        "−1.5 came out as 0. Subtract n while both are whole numbers: a float keeps 53 bits of 512.",
    )
    need(not close(below, 1.5), "−1.5 came out as +1.5. `value - n` already has its sign.")
    need(not close(below, -98_304.0), "−1.5 came out as −98,304: the unit got lost for numbers below zero.")
    need(close(below, -1.5), f"−1.5, stored as n − 98,304, came out as {below:.6g}.")
    other = number_from(ask(answer, 5 * 2**31, 32, n))
    need(close(other, 2.5), f"with 32 bits, 5 · 2³¹ is 2.5; yours says {other:.6g}. Did you write 16, not `bits`?")
    need(close(number_from(ask(answer, 0, bits, n)), 0.0), "0 should stay 0.")
    return "Whole numbers first, the division last: that way nothing is lost."


@exercise(
    "14.3", start="Compare every member with every outsider: `members[:, None] < others` is a table of yes and no."
)
def attack_auc(answer: Any) -> str:
    """`answer`: f(losses of members (m,), losses of outsiders (k,)) -> share of pairs where the member's is lower."""
    members = torch.tensor([0.1, 0.2, 0.2, 0.9])
    others = torch.tensor([0.2, 0.5, 1.0, 2.0, 0.05, 0.06])
    table = members[:, None] - others
    below, tie = float((table < 0).double().mean()), float((table == 0).double().mean())
    right = below + tie / 2
    threshold = members.mean()
    advantage = float((members <= threshold).double().mean() - (others <= threshold).double().mean())
    mistakes = [
        (1 - right, "it is the other way round: a member is betrayed by a **low** loss."),
        (below, "where the two losses are equal the attacker tosses a coin: such a pair counts one half."),
        (below + tie, "a pair of equal losses counts one half, not one."),
        (right * table.numel(), "this is a count of pairs. Divide by how many there are."),
        (100 * right, "this is a percentage; a share lies between 0 and 1."),
        (
            advantage,
            "that is the advantage at one threshold, the members' mean loss. The AUC needs no threshold, only pairs.",
        ),
        (2 * right - 1, "twice the AUC minus one: 0 for chance. Return the share of pairs, 0.5 for chance."),
        (
            float(others.mean() - members.mean()),
            "that is the gap between the mean losses. Return a share of pairs.",
        ),
    ]
    found = number_from(ask(answer, members.clone(), others.clone()))
    compare(found, right, mistakes, f"a small example has {right:.3f}; yours says {found:.4g}.")
    same = number_from(ask(answer, torch.ones(3), torch.ones(4)))
    need(close(same, 0.5), f"where all losses are equal, nobody can be told apart: 0.5; yours says {same:.4g}.")
    return "One half is a coin toss. Only the order of the losses counts: any rising function of them has the same AUC."


@exercise("14.4", start="The length of one sample's gradient: `gradients.flatten(1).norm(dim=1)`, a number per sample.")
def clipped_sum(answer: Any) -> str:
    """`answer`: f(gradients (n, k, d), most) -> (k, d), the sum of gradients no longer than `most` each."""
    draw = torch.Generator().manual_seed(14)
    gradients = torch.randn(30, 3, 4, generator=draw) * torch.linspace(0.02, 1.5, 30)[:, None, None]
    most = 1.0

    def shorten(length: torch.Tensor) -> torch.Tensor:
        return (gradients * (most / length).clamp(max=1)).sum(0)

    length = gradients.flatten(1).norm(dim=1)[:, None, None]
    right, plain = shorten(length), gradients.sum(0)
    try:
        found = tensor_from(ask(answer, gradients.clone(), most), (3, 4))
    except NotYet as hint:
        need("(30, 3, 4)" not in str(hint), "the gradients are still separate. Their **sum** is asked for.")
        need("(30,)" not in str(hint), "that is one number per sample. Shorten each gradient by its own, then add.")
        raise
    mistakes = [
        (plain, "nothing was clipped: one sample can still move the sum as far as it likes."),
        (
            plain * min(1.0, most / float(plain.norm())),
            "you clipped the sum. One long gradient still outweighs all the others: clip **each** one first.",
        ),
        (
            (gradients * most / length).sum(0),
            "short gradients were made longer. A factor above 1 is not clipping: `.clamp(max=1)`.",
        ),
        (
            gradients.clamp(-most, most).sum(0),
            "that clips every entry by itself, which turns the gradient; its **length** should be at most `most`.",
        ),
        (right / 30, "that is the mean; the sum is asked for."),
        (
            shorten(gradients.norm(dim=2, keepdim=True)),
            "that is one length per row. A sample's gradient is the whole (k, d) table: `flatten(1)`.",
        ),
        (shorten(gradients.norm(dim=0, keepdim=True)), "`dim=0` mixes the samples. Take one length per sample."),
        (shorten(length**2), "those are squared lengths. The square root is missing."),
    ]
    compare(found, right, mistakes, "this is not the sum of the shortened gradients.")
    half = tensor_from(ask(answer, gradients.clone(), 0.25), (3, 4))
    wanted = (gradients * (0.25 / length).clamp(max=1)).sum(0)
    need(close(half, wanted), "it is right for most = 1, but not for most = 0.25. Did you write 1, not `most`?")
    still = tensor_from(ask(answer, torch.zeros(2, 3, 4), most), (3, 4))
    need(still.isfinite().all(), "a gradient of zeros gives nan: 0 / 0. Use `length.clamp(min=1e-12)`.")
    return "One picture more or less now moves the sum by at most 1: that sets the scale of the noise."
