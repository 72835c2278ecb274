"""Names for stand-ins: common ones of people by language and gender, and invented ones of towns, firms and streets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines())


GIVEN: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "en": {
        "f": _words(
            "Alison Bridget Clare Deborah Eleanor Fiona Gillian Harriet Imogen Joanne Kirsten Laura Meredith Nicola "
            "Philippa Rachel Sandra Tabitha Vanessa Yvonne"
        ),
        "m": _words(
            "Alan Bernard Clive Dennis Edgar Fraser Gareth Howard Ian Julian Kenneth Leonard Malcolm Nigel Oscar "
            "Patrick Ronald Stuart Trevor Vincent"
        ),
    },
    "de": {
        "f": _words(
            "Anneliese Brigitte Carolin Dagmar Elke Franziska Gudrun Heike Ilse Jutta Karin Liselotte Monika Renate "
            "Sabine Ulrike"
        ),
        "m": _words(
            "Albrecht Bernd Carsten Dieter Ekkehard Friedrich Gerhard Holger Ingo Jochen Klaus Lothar Manfred Norbert "
            "Rainer Wolfgang"
        ),
    },
    "fr": {
        "f": _words(
            "Agathe Brigitte Chantal Delphine Estelle Florence Geneviève Isabelle Josiane Mireille Odile Sylvie"
        ),
        "m": _words("Alain Benoît Christophe Didier Étienne Fabrice Gilles Hervé Jérôme Laurent Olivier Thierry"),
    },
    "es": {
        "f": _words("Almudena Beatriz Consuelo Dolores Encarna Esperanza Inés Lourdes Maite Pilar Rocío Yolanda"),
        "m": _words("Alejandro Baltasar Ignacio Emilio Fermín Gonzalo Hernán Javier Leandro Mateo Ramiro Vicente"),
    },
    "it": {
        "f": _words(
            "Alessia Benedetta Chiara Donatella Elisabetta Federica Ginevra Ludovica Mirella Ornella Serena Viola"
        ),
        "m": _words(
            "Alessandro Beniamino Corrado Davide Ettore Fabrizio Gianluca Lorenzo Matteo Ottavio Renzo Umberto"
        ),
    },
    "nl": {
        "f": _words("Anneke Femke Greetje Hanneke Ilse Janneke Lieke Marijke Nelleke Saskia Tineke Wilma"),
        "m": _words("Arjen Bram Cornelis Diederik Freek Gijs Hendrik Jeroen Koen Maarten Sander Wouter"),
    },
    "pl": {
        "f": _words("Agnieszka Bożena Dorota Ewa Grażyna Halina Iwona Jolanta Katarzyna Małgorzata Urszula Wiesława"),
        "m": _words(
            "Andrzej Bogdan Czesław Dariusz Grzegorz Henryk Jarosław Krzysztof Leszek Mirosław Stanisław Zbigniew"
        ),
    },
    "pt": {
        "f": _words("Adriana Bárbara Conceição Fátima Graça Helena Inês Leonor Matilde Rosário Sofia Teresa"),
        "m": _words("Afonso Bernardo Duarte Edson Filipe Gustavo Henrique João Leandro Miguel Rafael Tiago"),
    },
    "in": {
        "f": _words("Aditi Deepa Gayatri Indira Kavita Lakshmi Meera Nandini Priya Radhika Sunita Vidya"),
        "m": _words("Anil Deepak Girish Harish Karthik Mohan Nikhil Prakash Rajesh Sanjay Suresh Vijay"),
    },
}

#: More names that are read, and given to nobody: the most common ones, by which language and gender are known.
KNOWN: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "en": {
        "f": _words(
            "Mary Patricia Jennifer Linda Elizabeth Barbara Susan Jessica Sarah Karen Lisa Nancy Betty Margaret Ashley "
            "Kimberly Emily Donna Michelle Carol Amanda Dorothy Melissa Stephanie Rebecca Sharon Cynthia Kathleen Amy "
            "Angela Shirley Anna Brenda Pamela Emma Nicole Helen Samantha Katherine Christine Debra Carolyn Janet "
            "Catherine Heather Diane Julie Joyce Victoria Kelly Christina Joan Evelyn Olivia Alice Jane Jean Ann Anne "
            "Charlotte Sophie Lucy Grace Hannah Chloe Ruby Ella Amelia Isla Zoe Abigail Megan Lauren Molly Jacqueline "
            "Doris Gloria Theresa Judith Marie Rose Kathryn Denise Marilyn Danielle Beverly Sophia Isabella Mia"
        ),
        "m": _words(
            "James Robert John Michael David William Richard Joseph Thomas Charles Christopher Daniel Matthew Anthony "
            "Mark Donald Steven Paul Andrew Joshua Kevin Brian George Edward Timothy Jason Jeffrey Ryan Jacob Gary "
            "Nicholas Eric Jonathan Stephen Larry Justin Scott Brandon Benjamin Samuel Gregory Alexander Frank Raymond "
            "Jack Tyler Aaron Jose Adam Nathan Henry Douglas Zachary Peter Kyle Walter Ethan Jeremy Harold Keith "
            "Christian Roger Noah Gerald Carl Terry Sean Austin Arthur Lawrence Jesse Dylan Bryan Joe Jordan Billy "
            "Bruce Albert Willie Gabriel Logan Bob Tom Tim Harry Oliver Simon Martin Philip Graham Colin Derek Neil"
        ),
    },
    "de": {
        "f": _words("Ursula Petra Andrea Claudia Susanne Gabriele Birgit Silke Anja Katrin Nina Lena Lea Leonie Greta"),
        "m": _words(
            "Hans Jürgen Wolfgang Stefan Uwe Frank Matthias Torsten Jens Sven Florian Tobias Lukas Felix Jonas Moritz "
            "Karl Heinz Günter Horst Werner Helmut Otto Fritz Ulrich Johannes Markus Andreas Jan"
        ),
    },
    "fr": {
        "f": _words("Marie Nathalie Catherine Françoise Valérie Céline Aurélie Camille Léa Manon Élodie Amélie Claire"),
        "m": _words("Jean Pierre Michel Philippe Nicolas François Jacques Antoine Julien Guillaume Mathieu Luc Yves"),
    },
    "es": {
        "f": _words("María Carmen Josefa Isabel Ana Francisca Antonia Lucía Marta Cristina Elena Raquel Silvia Nuria"),
        "m": _words(
            "José Antonio Manuel Francisco Juan Luis Carlos Jesús Pedro Miguel Ángel Rafael Fernando Sergio Pablo"
        ),
    },
    "it": {
        "f": _words("Maria Anna Giuseppina Rosa Giulia Francesca Valentina Martina Paola Laura Simona Silvia Roberta"),
        "m": _words("Giuseppe Giovanni Antonio Mario Luigi Francesco Marco Andrea Luca Stefano Paolo Roberto Giorgio"),
    },
    "nl": {
        "f": _words("Johanna Wilhelmina Sanne Emma Lotte Fleur Iris Mieke Ingrid Margriet Annelies Willemijn"),
        "m": _words("Johannes Pieter Willem Kees Joost Daan Sem Thijs Ruben Bas Niels Jasper Rik Tijmen"),
    },
    "pl": {
        "f": _words("Anna Maria Barbara Krystyna Elżbieta Zofia Magdalena Monika Joanna Beata Danuta Aleksandra"),
        "m": _words("Jan Piotr Tomasz Paweł Marcin Marek Michał Jerzy Tadeusz Adam Łukasz Kamil Wojciech Jakub"),
    },
    "pt": {
        "f": _words("Ana Francisca Juliana Márcia Fernanda Patrícia Aline Camila Beatriz Mariana Letícia"),
        "m": _words("José Antônio Carlos Paulo Pedro Lucas Luiz Marcos Bruno Rodrigo Felipe Eduardo Nuno Rui"),
    },
    "in": {
        "f": _words("Anjali Asha Geeta Neha Pooja Rani Rekha Shreya Sita Usha Ananya Divya Lata"),
        "m": _words("Amit Arjun Ashok Rahul Raj Ravi Rohan Sunil Vikram Arun Manoj Ramesh Vivek"),
    },
}

FAMILY: Final[Mapping[str, tuple[str, ...]]] = {
    "en": _words(
        "Aldridge Bancroft Carmichael Dalton Eastwood Fairbairn Garside Hathaway Ingram Jessop Kingsley Lockhart "
        "Merriman Norwood Ogilvie Pemberton Ramsden Shackleton Thornbury Underhill Wainwright Yardley"
    ),
    "de": _words(
        "Ackermann Brinkmann Dietrich Eberhardt Falkenberg Grünwald Hartmann Imhof Jacobi Kirchner Lindner Mertens "
        "Niemeyer Oberländer Pfeiffer Reinhardt Steinbach Trautmann Vogelsang Winkelmann"
    ),
    "fr": _words(
        "Archambault Beaumont Chevalier Delacroix Escoffier Fontaine Garnier Hébert Jolivet Lefebvre Marchand "
        "Pelletier Rousselot Thibault Vasseur"
    ),
    "es": _words(
        "Aguirre Bermúdez Cifuentes Echeverría Figueroa Galindo Iglesias Larrañaga Montero Olivares Pacheco Quintana"
    ),
    "it": _words(
        "Albertini Bernasconi Castellani Damiani Esposito Ferrante Giordano Lombardi Mancini Pellegrini Santoro Vitale"
    ),
    "nl": _words(
        "Aalbers Brouwer Dijkstra Groenewegen Hoekstra Jansen Kuipers Meijer Postma Schouten Terpstra Wiersma"
    ),
    "pl": _words(
        "Adamczyk Borkowski Czarnecki Dąbrowski Grabowski Jabłoński Kaczmarek Lewandowski Michalak Piotrowski Zalewski"
    ),
    "pt": _words(
        "Almeida Barbosa Cardoso Drummond Figueiredo Guimarães Magalhães Nogueira Queiroz Rezende Siqueira Teixeira"
    ),
    "in": _words("Agarwal Banerjee Chatterjee Deshpande Iyer Kulkarni Malhotra Nair Pillai Rao Subramanian Venkatesan"),
}

TOWNS: Final = _words(
    "Ashbridge Birchmoor Calderholm Dunmarsh Eastvale Fernhollow Glenmorrow Harrowfield Ivybrook Kestrelford Larkstead "
    "Millhaven Northwick Oakmere Pinecrest Quarrington Ravensmoor Silverford Thornby Westerdale Wrenfield Yarrowby"
)

FIRMS: Final = _lines(
    """
    Ardent Fields
    Bluepeak Systems
    Cobalt Harbour
    Driftwood Partners
    Amberwell
    Fernstone
    Granite Row
    Halcyon Works
    Ironbark Logistics
    Juniper Lane
    Kestrel Analytics
    Larkspur Foods
    Meridian Timber
    Northgate Instruments
    Orchard Hill
    Pinnacle Freight
    Quillon Media
    Redwillow
    Saltmarsh Energy
    Tallow Bridge
    Umberfield
    Windrose Trading
    """
)

STREETS: Final = _lines(
    """
    Alderwood Lane
    Bramble Close
    Cinder Path
    Drovers Way
    Elmcroft Road
    Foxglove Avenue
    Gorse Hill Road
    Heronsgate
    Juniper Walk
    Kingfisher Road
    Lantern Street
    Mossbank Terrace
    Nettlefield Road
    Otterburn Drive
    Plover Street
    Quince Gardens
    Rookery Lane
    Saddler Street
    Tanners Row
    Willowherb Way
    """
)
