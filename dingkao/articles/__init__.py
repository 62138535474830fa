"""Articles of a province for everyone: policy news (政策资讯), and answers to frequent questions
(百问百答)."""
