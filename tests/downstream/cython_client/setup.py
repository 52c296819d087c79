from Cython.Build import cythonize
from setuptools import Extension, setup

import fdcore

extension = Extension("decay_fit", ["decay_fit.pyx"], include_dirs=[fdcore.get_include()])
setup(ext_modules=cythonize([extension], language_level=3), py_modules=[])
