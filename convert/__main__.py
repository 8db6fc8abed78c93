"""`python -m convert`, for machines where `convert` is ImageMagick's."""

from convert.cli import main

if __name__ == "__main__":
    main()
