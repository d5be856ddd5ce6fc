// Compares two aligned faces with a network that `pocketface export --input uint8` wrote.
//
//     compare_faces model.onnx a.ppm b.ppm
//
// It prints the cosine similarity of the embeddings, summed over image and mirror: the figure that
// `pocketface verify` compares with a threshold of the network's card. Faces are binary PPM files
// (P6) or raw RGB bytes, of the network's own size.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <openvino/openvino.hpp>

namespace {

using Pixels = std::vector<std::uint8_t>;

// The next word of a PPM header, past white space and comments.
std::string next_word(std::istream& header) {
    std::string word;
    while (header >> word && word[0] == '#') {
        std::getline(header, word);
    }
    return word;
}

Pixels read_face(const std::string& path, std::size_t side) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        throw std::runtime_error(path + " cannot be read");
    }
    const std::string content{std::istreambuf_iterator<char>(file), {}};
    const std::size_t bytes = side * side * 3;
    const std::string size = std::to_string(side);
    if (content.rfind("P6", 0) != 0) {
        if (content.size() != bytes) {
            throw std::runtime_error(path + " has " + std::to_string(content.size()) +
                                     " bytes; a face is a PPM file (P6) or " + size + " x " + size +
                                     " x 3 = " + std::to_string(bytes) + " raw bytes, RGB");
        }
        return {content.begin(), content.end()};
    }
    std::istringstream header(content.substr(2));
    const std::string width = next_word(header), height = next_word(header);
    const std::string most = next_word(header);
    const std::size_t begin = 2 + static_cast<std::size_t>(header.tellg()) + 1;
    if (width != size || height != size || most != "255" || content.size() != begin + bytes) {
        throw std::runtime_error(path + " is " + width + " x " + height + " with values to " + most +
                                 "; the network takes whole faces of " + size + " x " + size +
                                 " with values to 255");
    }
    return {content.begin() + static_cast<std::ptrdiff_t>(begin), content.end()};
}

Pixels mirrored(const Pixels& face, std::size_t side) {
    Pixels turned(face.size());
    for (std::size_t y = 0; y < side; ++y) {
        for (std::size_t x = 0; x < side; ++x) {
            const auto from = face.begin() + static_cast<std::ptrdiff_t>((y * side + x) * 3);
            std::copy_n(from, 3, turned.begin() + static_cast<std::ptrdiff_t>(
                                                      (y * side + side - 1 - x) * 3));
        }
    }
    return turned;
}

double compare(const std::string& network, const std::string& first, const std::string& second) {
    ov::Core core;
    const auto model = core.read_model(network);
    const auto& input = model->input();
    const auto shape = input.get_partial_shape();
    if (input.get_element_type() != ov::element::u8 || shape.size() != 4 || shape[3] != 3 ||
        shape[1].is_dynamic() || shape[1] != shape[2] || shape[0].is_static()) {
        throw std::runtime_error(network + " does not take pixels (N, S, S, 3) for any N: write it "
                                           "with `pocketface export --input uint8`");
    }
    if (model->outputs().size() != 1) {
        throw std::runtime_error(network + " has more outputs than the embeddings: write it with "
                                           "--output raw, whose sums the thresholds are for");
    }
    const auto side = static_cast<std::size_t>(shape[1].get_length());
    auto request =
        core.compile_model(model, "CPU", ov::hint::inference_precision(ov::element::f32))
            .create_infer_request();

    // Four images in one run: each face and its mirror.
    ov::Tensor images(ov::element::u8, {4, side, side, 3});
    auto* place = images.data<std::uint8_t>();
    for (const auto& path : {first, second}) {
        const Pixels face = read_face(path, side);
        for (const auto& picture : {face, mirrored(face, side)}) {
            place = std::copy(picture.begin(), picture.end(), place);
        }
    }
    request.set_input_tensor(images);
    request.infer();

    const auto embeddings = request.get_output_tensor();
    const std::size_t width = embeddings.get_shape()[1];
    const float* rows = embeddings.data<float>();
    double product = 0, left = 0, right = 0;
    for (std::size_t d = 0; d < width; ++d) {
        const double a = static_cast<double>(rows[d]) + rows[width + d];
        const double b = static_cast<double>(rows[2 * width + d]) + rows[3 * width + d];
        product += a * b;
        left += a * a;
        right += b * b;
    }
    return product / std::sqrt(left * right);
}

}  // namespace

int main(int count, char** words) {
    if (count != 4) {
        std::fprintf(stderr, "usage: compare_faces NETWORK FACE FACE\n");
        return 2;
    }
    try {
        std::printf("%.6f\n", compare(words[1], words[2], words[3]));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 2;
    }
    return 0;
}
