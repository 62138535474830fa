"""What a province tells everyone: policy news (政策资讯) and answers to what is asked often (百问百答)."""
