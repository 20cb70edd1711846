from handdata.__main__ import main

if __name__ == "__main__":  # worker processes import this file
    main()
