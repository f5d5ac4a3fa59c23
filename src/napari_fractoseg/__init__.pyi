from .annotations.conversion.convert import convert
from .annotations.options import AnnotationOptions
from .annotations.reading import read_annotations
from .annotations.via import read_via
from .audit.plan import plan_points
from .audit.points import PointCount
from .audit.result import audit_result
from .classes import ClassScheme, FractureClass
from .errors import FractosegError
from .evaluation.adjusted_areas import adjusted_areas
from .evaluation.evaluate import evaluate
from .images.micrograph import MicrographStack
from .images.reading import read_image
from .inference.predictor import Predictor, segment
from .jobs import drain
from .measurement.facets.plane import facets
from .measurement.fractions import class_fractions
from .measurement.measure import measure
from .models.model import load_model
from .models.registry import list_models
from .samples.synthetic import synthetic_fracture
from .training.fit import train
from .training.plan import TrainingPlan

__version__: str

__all__ = [
    "AnnotationOptions",
    "ClassScheme",
    "FractosegError",
    "FractureClass",
    "MicrographStack",
    "PointCount",
    "Predictor",
    "TrainingPlan",
    "__version__",
    "adjusted_areas",
    "audit_result",
    "class_fractions",
    "convert",
    "drain",
    "evaluate",
    "facets",
    "list_models",
    "load_model",
    "measure",
    "plan_points",
    "read_annotations",
    "read_image",
    "read_via",
    "segment",
    "synthetic_fracture",
    "train",
]
