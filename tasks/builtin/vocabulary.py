"""Letters, digits and everyday words, which most tokenizers know as one token each."""

from __future__ import annotations

import string


def words(text: str) -> tuple[str, ...]:
    """The words of a text, in their order."""
    return tuple(text.split())


LETTERS = tuple(string.ascii_uppercase)
DIGITS = tuple(string.digits)
WORDS = words(
    """
    animal apple arm army art baby back bag ball band bank bar base bed bell bird block blood blue board
    boat body bone book bottle box boy brain bread bridge brother brown bus butter cake camera camp car card
    cat chain chair chicken child church circle city class clock cloud coat coffee cold color corn cow cream
    cross crowd cup dance dark day desk dinner dirt dog door dream dress drink dust ear earth east egg
    engine eye face family farm father field finger fire fish flag floor flower food foot forest fork friend
    fruit game garden gas gate gift girl glass gold grass green gun hair hall hand hat head heart heat hill
    home horse hotel house ice iron island key king kitchen knife lake land leaf leg letter light line lion
    list lock map market meat metal milk mind mirror money moon mother mountain mouse mouth music nail name
    neck night north nose ocean office oil orange page paint pan paper park party path pen phone picture pig
    plane plant plate pocket pool queen rabbit radio rain red rice ring river road rock roof room root rose
    salt sand school sea seat shadow sheep ship shirt shoe shop silver sister sky snow soap soil son song
    soup south spoon spring square stage star station steel stone storm street sugar summer sun table tail
    tea teeth tent test tiger tongue tool tooth tower town train tree truck valley village voice wall war
    watch water wave west wheel white wind window wine winter wolf wood yard yellow
    """
)
